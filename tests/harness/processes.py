"""The gateway's processes as an operator starts them, with an environment of their own."""

import functools
import json
import os
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import requests

from sandbox.client import SandboxProcess
from tests.harness.ports import eventually, free_port
from tests.harness.procfs import session_rss

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "for-tests-only-" + "x" * 40
FIELD_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def base_environment(data_dir: Path, sandbox: SandboxProcess | None = None, **more: str) -> dict[str, str]:
    """Build the variables of one installation: its directory, and the sandbox in Microsoft's place."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(data_dir),
        "LANG": "C.UTF-8",
        "DATA_DIR": str(data_dir),
        "SMTP_HOSTNAME": "gateway.test",
        "LOG_LEVEL": "INFO",
        "DELIVERY_RETRY_MIN": "1",
        "SENDER_MESSAGES_PER_MINUTE": "0",
        "DATA_DIR_LOCK_WAIT": "10",
        "BOUNCE_POLICY": "none",  # the tests of bounces ask for them; elsewhere they would be mail too many
    }
    if sandbox is not None:
        environment |= {
            "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
            "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
            "AZURE_CLIENT_SECRET": "sandbox-secret",
            "SENDER_EMAIL": "gateway@contoso.test",
            "AZURE_AUTHORITY_HOST": sandbox.base_url,
            "GRAPH_ENDPOINT": sandbox.base_url,
            "REQUESTS_CA_BUNDLE": sandbox.ca_file,
        }
    return environment | more


@functools.cache
def prepared() -> Path:
    """Make an empty database with all tables, as the image has one: migrating takes two seconds of a core."""
    file = Path(os.environ["DATA_DIR"]) / "prepared.sqlite3"
    subprocess.run([sys.executable, str(ROOT / "docker" / "prepare.py"), str(file)], check=True)
    return file


def seed(environment: dict[str, str]) -> None:
    """Give an installation on SQLite that is new the prepared database."""
    database = Path(environment["DATA_DIR"]) / "gateway.sqlite3"
    if "DATABASE_URL" not in environment and database.parent.is_dir() and not database.exists():
        shutil.copy(prepared(), database)


class GatewayProcess:
    """One process of the gateway: a command, its ports, its log. A context manager that ends it."""

    command: tuple[str, ...] = ("manage.py", "rungateway")

    def __init__(self, environment: dict[str, str], **more: str) -> None:
        self.smtp_port, self.http_port = free_port(), free_port()
        self.environment = {
            "SMTP_LISTENERS": f"smtp://127.0.0.1:{self.smtp_port}",
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
        }
        self.environment |= environment | more
        folder = Path(environment["DATA_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{type(self).__name__.lower()}-{self.http_port}.log"
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop(check=False)

    def start(self, *, wait: bool = True, **more: str):
        if "rungateway" in self.command:  # the others refuse a database without tables
            seed(self.environment)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command],
                cwd=ROOT,
                env=self.environment | more,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self, timeout: float = 60.0) -> None:
        def up() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output()}"
            return self.get("/health") == 200 and self.is_serving()

        eventually(up, timeout, f"{self.command} being up")

    def is_serving(self) -> bool:
        try:
            smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self, timeout: float = 45.0, *, check: bool = True) -> None:
        """SIGTERM, as an orchestrator does; SIGKILL where that does not end it."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {timeout} s of SIGTERM:\n{self.output()}") from None
        if check:
            assert code == 0, f"ended with {code}:\n{self.output()}"
        self.process = None

    def kill(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def wait_until_killed(self, timeout: float = 60.0) -> None:
        """Wait for the SIGKILL that a failpoint sends."""
        code = self.process.wait(timeout)
        assert code == -signal.SIGKILL, f"ended with {code}:\n{self.output()}"
        self.process = None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str) -> int | None:
        try:
            return requests.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=5).status_code
        except requests.RequestException:
            return None

    def ready(self) -> dict:
        return requests.get(f"http://127.0.0.1:{self.http_port}/ready", timeout=5).json()

    def metrics(self) -> dict[str, float]:
        """Scrape, as a map of sample lines without comments to their values."""
        text = requests.get(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, _, value in lines}

    def rss(self) -> int:
        """Resident bytes of the process, children included."""
        return session_rss(self.process.pid)


class Relay(GatewayProcess):
    command = ("manage.py", "runsmtp")


class Worker(GatewayProcess):
    command = ("-m", "celery", "-A", "gateway", "worker", "--loglevel", "WARNING")

    def is_serving(self) -> bool:
        return True


class Web(GatewayProcess):
    command = ("-m", "gunicorn", "gateway.wsgi")

    def is_serving(self) -> bool:
        return True


def manage(environment: dict[str, str], *arguments: str, check: bool = True, timeout: float = 120.0):
    """Run a management command to its end."""
    if arguments[:1] == ("migrate",):
        seed(environment)
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def mailq(environment: dict[str, str], *arguments: str) -> list[dict]:
    lines = manage(environment, "mailq", "--json", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def rows(environment: dict[str, str], query: str, *values) -> list[tuple]:
    """Ask the installation's database; `%s` stands for a value with either kind."""
    url = environment.get("DATABASE_URL")
    if not url:
        path = Path(environment["DATA_DIR"]) / "gateway.sqlite3"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query.replace("%s", "?"), values).fetchall()
        finally:
            connection.close()
    import psycopg

    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


def states(environment: dict[str, str]) -> dict[str, int]:
    found = rows(environment, "SELECT state, COUNT(*) FROM mailrelay_delivery GROUP BY state")
    return dict(found)


def mail(number: int | str = 0, size: int = 0, **headers: str) -> EmailMessage:
    """Make a mail whose Message-ID tells its number."""
    message = EmailMessage()
    fields = {
        "From": "app@contoso.test",
        "To": "ann@example.org",
        "Subject": f"mail {number}",
        "Message-ID": f"<test-{number}@app.test>",
    }
    for name, value in (fields | {k.replace("_", "-"): v for k, v in headers.items()}).items():
        message[name] = value
    message.set_content(f"body of mail {number}\n" + ("y" * 76 + "\n") * (size // 77))
    return message


def as_sent(message: EmailMessage) -> bytes:
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


def send(
    port: int,
    message: EmailMessage | bytes,
    recipients: list[str] | None = None,
    mail_from: str = "app@contoso.test",
    timeout: float = 60.0,
) -> str:
    """Send one mail; return the queue id from the reply. Raises what smtplib raises."""
    data = message if isinstance(message, bytes) else as_sent(message)
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=timeout) as client:
        client.ehlo()
        code, text = client.mail(mail_from)
        assert code == 250, text
        for recipient in recipients or ["ann@example.org"]:
            code, text = client.rcpt(recipient)
            assert code == 250, text
        code, text = client.data(data)
        if code != 250:
            raise smtplib.SMTPDataError(code, text)
        return text.decode().rpartition(" ")[2]


def wait_for_state(environment: dict[str, str], wanted: dict[str, int], timeout: float = 60.0) -> None:
    """Return once the deliveries stand exactly as `wanted` says."""
    end = time.monotonic() + timeout
    while (found := states(environment)) != wanted:
        assert time.monotonic() < end, f"wanted {wanted}, found {found}"
        time.sleep(0.05)
