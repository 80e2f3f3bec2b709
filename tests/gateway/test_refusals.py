"""A start that cannot go well: a sentence with its check's id on stderr, an exit code, never a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.ports import eventually, free_port
from tests.harness.processes import (
    FIELD_KEY,
    ROOT,
    SECRET_KEY,
    GatewayProcess,
    Web,
    base_environment,
    manage,
)

RUNGATEWAY = ("manage.py", "rungateway")
RUNSMTP = ("manage.py", "runsmtp")
WORKER = ("-m", "celery", "-A", "gateway", "worker")
GUNICORN = Web.command
NO_BROKER = {"CELERY_BROKER_URL": "redis://:pass-of-broker@127.0.0.1:9/0"}
each_process = pytest.mark.parametrize(
    "command",
    [RUNGATEWAY, RUNSMTP, WORKER, GUNICORN],
    ids=["rungateway", "runsmtp", "worker", "gunicorn"],
)


def refusal(command, environment, arguments=(), code=None, **more) -> str:
    """Start what cannot start; return what it said."""
    addresses = {
        "HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "SMTP_LISTENERS": f"smtp://127.0.0.1:{free_port()}",
    }
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=ROOT,
        env=addresses | environment | more,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    # gunicorn ends with 3, "worker failed to boot": with any other code it would try for ever.
    assert done.returncode == (code or (3 if command is GUNICORN else 1)), said
    assert "Traceback" not in said
    return said


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """An environment whose SQLite database has its tables."""
    environment = base_environment(tmp_path_factory.mktemp("migrated"), **NO_BROKER)
    manage(environment, "migrate", "--verbosity", "0")
    return environment


@each_process
def test_all_that_is_wrong_with_the_environment_is_said_at_once(tmp_path, command):
    wrong = {
        "AZURE_TENANT_ID": "contoso.example",
        "AZURE_CLIENT_SECRET": "secret-of-the-application",
        "DATABASE_URL": "postgres://gateway:pass-of-database#x@db.example/name",
        "CELERY_BROKER_URL": "kafka://gateway:pass-of-broker@broker.example",
        "FIELD_ENCRYPTION_KEYS": "key-of-fields",
        "DJANGO_SUPERUSER_PASSWORD_FILE": "/nowhere/password",
        "AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token",
        "SMTP_LISTENERS": "lmtp://0.0.0.0:24",
        "LEASE_SECONDS": "1",
        "LOG_LEVEL": "loud",
    }

    said = refusal(command, base_environment(tmp_path) | wrong)

    for number, word in {
        "E001": "DATABASE_URL: The URL has no usable port",
        "E002": "DJANGO_SUPERUSER_PASSWORD_FILE names /nowhere/password",
        "E005": "AZURE_CLIENT_ID and SENDER_EMAIL must be set, since ",
        "E007": "AZURE_FEDERATED_TOKEN_FILE names /nowhere/token",
        "E008": "FIELD_ENCRYPTION_KEYS holds something that is not a Fernet key",
    }.items():
        assert f"gateway.{number}" in said and word in said
    for name in ("CELERY_BROKER_URL", "SMTP_LISTENERS", "LEASE_SECONDS", "LOG_LEVEL"):
        assert f"Fix {name}: " in said
    for secret in ("secret-of-the-application", "pass-of-database", "pass-of-broker", "key-of-fields"):
        assert secret not in said


CHECK = ("manage.py", "check")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "AZURE_TENANT_ID",
            "common",
            "“common” names no tenant, and an application gets tokens from its own alone",
        ),
        ("AZURE_CLIENT_ID", "my-app", "“my-app” is no client id. A client id is a GUID"),
        ("SENDER_EMAIL", "relay@localdomain", "“relay@localdomain” is not an address"),
    ],
)
@pytest.mark.parametrize("command", [CHECK, RUNGATEWAY], ids=["check", "rungateway"])
def test_what_the_file_and_the_form_refuse_is_refused_at_the_start(tmp_path, command, name, value, said):
    mission = {
        "AZURE_TENANT_ID": "contoso.example",
        "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
        "AZURE_CLIENT_SECRET": "s3cret",
        "SENDER_EMAIL": "relay@contoso.example",
    }

    text = " ".join(refusal(command, base_environment(tmp_path) | mission | {name: value}).split())

    assert f"{name}: {said}" in text and "gateway.E001" in text


@each_process
def test_a_data_dir_that_cannot_be_written_is_a_sentence(tmp_path, command):
    (tmp_path / "file").write_text("")

    said = refusal(command, base_environment(tmp_path), DATA_DIR=str(tmp_path / "file" / "data"))

    assert (
        "gateway.E004" in said or "gateway.E015" in said
    ) and "Make DATA_DIR a directory that this process may write" in said


@pytest.mark.parametrize("command", [RUNGATEWAY, RUNSMTP, WORKER], ids=["rungateway", "runsmtp", "worker"])
def test_a_postgresql_that_does_not_answer_is_a_sentence_without_its_password(tmp_path, command):
    cluster = {"DJANGO_SECRET_KEY": SECRET_KEY, "FIELD_ENCRYPTION_KEYS": FIELD_KEY} | NO_BROKER
    url = f"postgres://gateway:pass-of-database@127.0.0.1:{free_port()}/gateway"

    said = refusal(command, base_environment(tmp_path) | cluster, DATABASE_URL=url)

    assert "The database cannot be used: " in said and "Connection refused" in said
    assert "Check DATABASE_URL and that the server runs. (gateway.E012)" in said
    assert "pass-of-database" not in said


#: What a site-packages of a faulty interpreter could look like: `re` and `binascii` of another mind.
FAULTS = {
    "a header": r"""
import re
real = re.compile
re.compile = lambda pattern, flags=0: real(
    pattern.replace(rb"[ \t]*+:", rb"[ \t]*+:?") if isinstance(pattern, bytes) else pattern, flags
)
""",
    "encoded words and transfer encodings": """
import binascii
real = binascii.a2b_base64
binascii.a2b_base64 = lambda text, **more: real(text, **more)[:1]
""",
}


def faulty(folder: Path, fault: str) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(FAULTS[fault])
    return {"PYTHONPATH": str(folder)}


@each_process
def test_a_python_that_would_mangle_mail_is_refused(tmp_path, migrated, command):
    said = refusal(command, migrated, **faulty(tmp_path, "a header"))

    assert "misreads a header" in said
    assert "mail would arrive mangled. Run the gateway with another Python, from 3.11 to 3.14." in said
    assert "(gateway.E031)" in said


def test_doctor_reports_a_python_that_would_mangle_mail(tmp_path, migrated):
    fault = "encoded words and transfer encodings"

    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=migrated | faulty(tmp_path, fault),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 1
    assert f"misreads {fault}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", [RUNSMTP, WORKER], ids=["runsmtp", "worker"])
def test_memory_as_broker_is_refused_where_processes_are_apart(migrated, command):
    said = refusal(command, migrated, CELERY_BROKER_URL="memory://")

    assert "gateway.E010" in said and "or run everything in one process with manage.py rungateway" in said


@pytest.mark.parametrize("command", [RUNSMTP, WORKER], ids=["runsmtp", "worker"])
def test_unapplied_migrations_are_refused(tmp_path, command):
    said = refusal(command, base_environment(tmp_path) | NO_BROKER)

    assert "migrations have not been applied" in said
    assert "Run manage.py migrate first. (gateway.E013)" in said
    assert "pass-of-broker" not in said


@pytest.mark.parametrize("command", [RUNGATEWAY, RUNSMTP], ids=["rungateway", "runsmtp"])
def test_a_listener_beyond_loopback_that_serves_nobody_there_is_refused(migrated, command):
    said = refusal(command, migrated, SMTP_LISTENERS=f"smtp://0.0.0.0:{free_port()}")

    assert "gateway.E011" in said and "Set SMTP_ALLOWED_NETWORKS" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SMTP_LISTENERS": "smtps://127.0.0.1:4465"}, "gateway.E022"),
        ({"SMTP_TLS_KEY_FILE": "/nowhere/key.pem"}, "gateway.E022"),
        ({"SMTP_TLS_CERT_FILE": "/nowhere/certificate.pem"}, "cannot be used: No such file or directory"),
        ({"SMTP_TLS_CERT_FILE": __file__}, "gateway.E023"),
    ],
)
def test_tls_without_a_certificate_that_can_be_used_is_a_sentence(migrated, wrong, said):
    assert said in refusal(RUNSMTP, migrated, **wrong)


@pytest.mark.parametrize("command", [RUNGATEWAY, RUNSMTP, WORKER], ids=["rungateway", "runsmtp", "worker"])
def test_a_taken_http_port_is_a_sentence(migrated, command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal(command, migrated, HTTP_LISTEN=f"127.0.0.1:{port}")

    assert f"Cannot listen on 127.0.0.1:{port} for probes and pages: Address already in use." in said
    assert "Set HTTP_LISTEN to another address" in said


@pytest.mark.parametrize("command", [RUNGATEWAY, RUNSMTP], ids=["rungateway", "runsmtp"])
def test_a_taken_smtp_port_is_a_sentence(migrated, command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal(command, migrated, SMTP_LISTENERS=f"smtp://127.0.0.1:{port}")

    assert f"Cannot listen on smtp://127.0.0.1:{port}: another program listens there" in said


def test_a_second_gateway_leaves_a_used_data_dir_with_a_sentence_and_waits_for_a_free_one(tmp_path):
    environment = base_environment(tmp_path)
    with GatewayProcess(environment) as first:
        said = refusal(RUNGATEWAY, environment, DATA_DIR_LOCK_WAIT="0")
        assert f"Another gateway uses {tmp_path}: stop it first" in said and "gateway.E014" in said
        assert first.get("/health") == 200

        second = GatewayProcess(environment, DATA_DIR_LOCK_WAIT="60").start(wait=False)
        try:
            eventually(lambda: _waits_for(second, tmp_path / "gateway.lock"), what="the second one's wait")
            first.stop()
            second.wait_until_up()
        finally:
            second.stop()


def _waits_for(process, path) -> bool:
    assert process.process.poll() is None
    files = Path(f"/proc/{process.process.pid}/fd").iterdir()
    return str(path) in map(os.path.realpath, files)


def test_gunicorn_says_what_its_worker_cannot_serve(migrated, tmp_path):
    for arguments in (("--bind", f"unix:{tmp_path}/socket"), ("--certfile", __file__)):
        assert "plain HTTP at host:port" in refusal(GUNICORN, migrated, arguments)
    assert "HTTP_LISTEN is off" in refusal(GUNICORN, migrated, HTTP_LISTEN="off", code=1)


def test_pages_wait_for_the_tables_while_probes_answer(tmp_path):
    environment = base_environment(tmp_path, **NO_BROKER)
    with Web(environment) as web:
        eventually(lambda: "database" in web.ready()["checks"])
        assert web.ready()["checks"]["database"].startswith("migrations have not been applied")
        assert [web.get(path) for path in ("/health", "/ready", "/metrics")] == [200, 503, 200]
        assert web.get("/admin/login/") == 503

        manage(environment, "migrate", "--verbosity", "0")

        eventually(lambda: web.get("/admin/login/") == 200)
        eventually((tmp_path / "admin-password").exists)
