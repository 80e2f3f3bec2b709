"""How each client is told to send one mail; a driver raises when its client does not report success."""

import json
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.clients.cells import LOGIN, MAIL_FROM, PASSWORD, RECIPIENTS, TEXT, Cell, Entrance, content
from tests.harness.services import program

PROGRAMS = Path(__file__).parent / "programs"
TOOLS = Path(__file__).resolve().parents[2] / ".venv/tools/clients"
JAVAMAIL = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar"
SYMFONY = Path("/usr/share/php/Symfony/Component/Mailer/autoload.php")
PATIENCE = 100


def needed(path: Path, package: str) -> Path:
    """Return the path of a file that a client consists of; skip or fail where it is absent."""
    if not path.exists():
        reason = f"{path.name} is not here: {package}"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def run(*command: str | Path, text: bytes = b"", **environment: str) -> str:
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        env=os.environ | environment,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said
    return said


def swaks(cell: Cell, entrance: Entrance, folder: Path) -> None:
    tls = {"plain": [], "starttls": ["--tls"], "tls": ["--tls-on-connect"]}[cell.encryption]
    if tls:
        tls += ["--tls-verify", "--tls-ca-path", str(entrance.ca)]
    login = ["--auth", cell.mechanism, "--auth-user", LOGIN, "--auth-password", PASSWORD]
    file = folder / "mail"
    # swaks takes `\n.\n` for nothing special, but its --data is text with escapes; a file is not.
    file.write_bytes(content(f"by {cell}"))
    said = run(
        program("swaks"),
        *("--server", "localhost", "--port", str(entrance.ports[cell.encryption])),
        *("--helo", "client.test", "--from", MAIL_FROM, "--to", ",".join(RECIPIENTS)),
        *("--data", f"@{file}", "--protocol", "ESMTP"),
        *tls,
        *(login if cell.mechanism else []),
    )
    assert "queued as" in said


def curl(cell: Cell, entrance: Entrance, folder: Path) -> None:
    scheme = "smtps" if cell.encryption == "tls" else "smtp"
    file = folder / "mail"
    file.write_bytes(content(f"by {cell}").replace(b"\n", b"\r\n"))
    options = ["--ssl-reqd"] if cell.encryption == "starttls" else []
    if cell.mechanism:
        options += ["--user", f"{LOGIN}:{PASSWORD}", "--login-options", f"AUTH={cell.mechanism}"]
    run(
        program("curl"),
        *("--silent", "--show-error", "--cacert", str(entrance.ca)),
        *("--url", f"{scheme}://localhost:{entrance.ports[cell.encryption]}/client.test"),
        *("--mail-from", MAIL_FROM, "--upload-file", str(file)),
        *(word for recipient in RECIPIENTS for word in ("--mail-rcpt", recipient)),
        *options,
    )


def msmtp(cell: Cell, entrance: Entrance, folder: Path) -> None:
    lines = [
        "account default",
        "host localhost",
        f"port {entrance.ports[cell.encryption]}",
        f"from {MAIL_FROM}",
        "domain client.test",
        f"tls {'off' if cell.encryption == 'plain' else 'on'}",
        f"tls_starttls {'on' if cell.encryption == 'starttls' else 'off'}",
        f"tls_trust_file {entrance.ca}",
        f"auth {cell.mechanism.lower() or 'off'}",
        f"user {LOGIN}",
        f'password "{PASSWORD}"',
    ]
    file = folder / "msmtprc"
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)
    run(program("msmtp"), "-C", file, "--", *RECIPIENTS, text=content(f"by {cell}"))


def nodemailer(cell: Cell, entrance: Entrance, folder: Path) -> None:
    package = needed(TOOLS / "node/node_modules/nodemailer", "scripts/install-test-clients.sh brings it")
    said = run(program("node"), PROGRAMS / "send.mjs", package, json.dumps(entrance.job(cell)))
    assert "queued as" in said


def symfony(cell: Cell, entrance: Entrance, folder: Path) -> None:
    php = program("php")
    needed(SYMFONY, "apt install php-symfony-mailer")
    said = run(
        php, "-d", "include_path=/usr/share/php", PROGRAMS / "send.php", json.dumps(entrance.job(cell))
    )
    assert "queued as" in said


@cache
def java_class() -> Path:
    """Compile the client once; its folder stays for the life of the tests."""
    needed(Path(JAVAMAIL.partition(":")[0]), "apt install libmail-java")
    folder = Path(os.environ["DATA_DIR"]) / "java"
    run(program("javac"), "-cp", JAVAMAIL, "-d", folder, PROGRAMS / "Send.java")
    return folder


def javamail(cell: Cell, entrance: Entrance, folder: Path) -> None:
    job = entrance.job(cell)
    text = folder / "text"
    text.write_text(TEXT)
    run(
        *(program("java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
        *("-cp", f"{JAVAMAIL}:{java_class()}", "Send"),
        *(str(job[name]) for name in ("port", "encryption", "mechanism", "login", "password", "ca")),
        *(MAIL_FROM, ",".join(RECIPIENTS), job["subject"], text),
    )


def python_smtplib(cell: Cell, entrance: Entrance, folder: Path) -> None:
    port = entrance.ports[cell.encryption]
    context = ssl.create_default_context(cafile=entrance.ca)
    if cell.encryption == "tls":
        client = smtplib.SMTP_SSL("localhost", port, "client.test", timeout=PATIENCE, context=context)
    else:
        client = smtplib.SMTP("localhost", port, "client.test", timeout=PATIENCE)
    with client:
        if cell.encryption == "starttls":
            client.starttls(context=context)
        client.ehlo_or_helo_if_needed()
        if cell.mechanism:
            client.user, client.password = LOGIN, PASSWORD
            method = client.auth_plain if cell.mechanism == "PLAIN" else client.auth_login
            client.auth(cell.mechanism, method)
        assert client.sendmail(MAIL_FROM, RECIPIENTS, content(f"by {cell}"), ["BODY=8BITMIME"]) == {}


def django(cell: Cell, entrance: Entrance, folder: Path) -> None:
    job = json.dumps(entrance.job(cell))
    run(sys.executable, PROGRAMS / "send_django.py", job, SSL_CERT_FILE=str(entrance.ca))


def half_closing_nc(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """A script piped into nc, which says everything at once and shuts its side down, as appliances do."""
    nc = shutil.which("nc.openbsd") or program("nc")
    recipients = "".join(f"RCPT TO:<{recipient}>\r\n" for recipient in RECIPIENTS).encode()
    mail = content(f"by {cell}").replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    dialogue = b"EHLO [192.0.2.7]\r\nMAIL FROM:<%s>\r\n%sDATA\r\n%s.\r\nQUIT\r\n"
    said = run(
        *(nc, "-N", "-w", "60", "localhost", str(entrance.ports["plain"])),
        text=dialogue % (MAIL_FROM.encode(), recipients, mail),
    )
    assert "queued as" in said
