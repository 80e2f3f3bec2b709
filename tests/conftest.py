"""Fixtures for every test: a directory of its own, private servers, the sandbox, whole installations."""

import os
import shutil
import tempfile
from pathlib import Path

# Before Django's settings are read: tests inside this process get a database file of their own.
_folder = tempfile.mkdtemp(prefix="gateway-test-data-")
for _name in [name for name in os.environ if name.startswith(("AZURE_", "SENDER_", "SMTP_", "DELIVERY_"))]:
    del os.environ[_name]
for _name in ("DATABASE_URL", "CELERY_BROKER_URL", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY"):
    os.environ.pop(_name, None)
os.environ |= {"DJANGO_SETTINGS_MODULE": "gateway.settings", "DATA_DIR": _folder, "LOG_LEVEL": "WARNING"}

import django  # noqa: E402
import pytest  # noqa: E402

django.setup()

from sandbox.client import SandboxProcess  # noqa: E402
from tests.clients.matrix import pytest_terminal_summary  # noqa: E402, F401 - a hook for pytest
from tests.harness.services import PostgreSQL, RabbitMQ, Redis  # noqa: E402
from tests.harness.stacks import EMBEDDED, RABBITMQ, REDIS, Stack, environment_of  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(_folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _writer_ends_with_its_test(request):
    """End the writer thread that a test of the queue started, with its connection, before the tables go."""
    yield
    if "transactional_db" in request.fixturenames or "django_db_setup" in request.fixturenames:
        from mailrelay.outbox.db.writer import stop_process_writer

        stop_process_writer()


def _running(kind):
    server = kind()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgresql():
    yield from _running(PostgreSQL)


@pytest.fixture(scope="session")
def redis():
    yield from _running(Redis)


@pytest.fixture(scope="session")
def rabbitmq():
    yield from _running(RabbitMQ)


@pytest.fixture
def sandbox(tmp_path: Path):
    with SandboxProcess(tmp_path / "sandbox") as process:
        yield process


@pytest.fixture
def embedded(tmp_path: Path, sandbox: SandboxProcess):
    """Everything in one process on SQLite, not started yet."""
    stack = Stack(EMBEDDED, environment_of(tmp_path / "data", sandbox), sandbox)
    with stack.entered:
        yield stack


def _cluster(name: str, tmp_path: Path, sandbox: SandboxProcess, database, broker):
    environment = environment_of(tmp_path / "data", sandbox, database.database(), broker.url)
    stack = Stack(name, environment, sandbox, broker, database)
    with stack.entered:
        yield stack


@pytest.fixture
def on_redis(tmp_path, sandbox, postgresql, redis):
    redis.flush()
    yield from _cluster(REDIS, tmp_path, sandbox, postgresql, redis)


@pytest.fixture
def on_rabbitmq(tmp_path, sandbox, postgresql, rabbitmq):
    yield from _cluster(RABBITMQ, tmp_path, sandbox, postgresql, rabbitmq)


@pytest.fixture(params=["embedded", "on_redis", "on_rabbitmq"])
def stack(request):
    """Each installation in turn."""
    return request.getfixturevalue(request.param)
