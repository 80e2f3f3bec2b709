"""The first step of a gateway: probes before anything else, tables before Django, one gateway a directory."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
import requests

from gateway.early import BASE_DIR
from gateway.fixed import INSTALLED_APPS
from mailrelay import schema
from mailrelay.processes import data_dir
from mailrelay.schema import Schema
from tests.harness.processes import ROOT, GatewayProcess, base_environment, manage

SCHEMA = Schema(BASE_DIR, INSTALLED_APPS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    file = tmp_path_factory.mktemp("prepared") / "prepared.sqlite3"
    subprocess.run([sys.executable, str(ROOT / "docker" / "prepare.py"), str(file)], check=True)
    return file


@pytest.fixture
def database(tmp_path, monkeypatch):
    """Where the database of a `manage.py migrate` that is started here goes."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return tmp_path / "gateway.sqlite3"


def test_the_first_step_loads_neither_django_nor_celery():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, mailrelay.processes.starting; print(sorted(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "'mailrelay.health.front'" in loaded
    assert not [name for name in ("django", "celery", "requests", "msal") if f"'{name}" in loaded]


def test_probes_answer_while_the_rest_is_loaded(tmp_path, sandbox):
    gateway = GatewayProcess(base_environment(tmp_path, sandbox))
    gateway.start(wait=False)
    try:
        seen = []
        end = time.monotonic() + 60
        while not (seen and seen[-1][0] == 200) and time.monotonic() < end:
            try:
                answer = requests.get(f"http://127.0.0.1:{gateway.http_port}/ready", timeout=1)
            except requests.ConnectionError:
                continue
            seen.append((answer.status_code, json.dumps(answer.json()["checks"])))
            assert gateway.get("/health") == 200
    finally:
        gateway.stop()

    assert seen[0] == (503, '{"process": "this process is starting"}')
    assert seen[-1][0] == 200
    assert not [checks for _, checks in seen if "no such table" in checks]


def test_a_first_start_copies_the_prepared_database(database, prepared, monkeypatch):
    monkeypatch.setattr(Schema, "prepared", prepared)
    monkeypatch.setattr(schema, "_migrate", lambda *_: pytest.fail("it migrated"))
    prepared.chmod(0o444)

    SCHEMA.bring_up_to_date(database)

    assert not SCHEMA.missing_in_file(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("UPDATE django_migrations SET applied = applied")


def test_a_prepared_database_of_another_version_is_left_alone(database, prepared, monkeypatch, tmp_path):
    older = tmp_path / "older.sqlite3"
    shutil.copy(prepared, older)
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'mailrelay' AND name NOT LIKE '0001%'")
    monkeypatch.setattr(Schema, "prepared", older)
    called = []
    monkeypatch.setattr(schema, "_migrate", lambda *_: called.append(1))

    SCHEMA.bring_up_to_date(database)

    assert called and not database.exists()


def test_without_a_prepared_database_it_migrates(database, monkeypatch, tmp_path):
    monkeypatch.setattr(Schema, "prepared", tmp_path / "none")

    SCHEMA.bring_up_to_date(database)

    assert not SCHEMA.missing_in_file(database)


def test_names_of_migrations_are_those_that_django_records(database):
    manage(base_environment(database.parent), "migrate", "--verbosity", "0")

    with closing(sqlite3.connect(database)) as connection:
        recorded = set(connection.execute("SELECT app, name FROM django_migrations"))
    assert set(SCHEMA.brought()) == recorded


@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [
        (-9, "HINT: Mount a volume", "killed by signal 9, as the kernel does where memory runs out"),
        (-15, "", "killed by signal 15"),
        (1, "WARNINGS:\nx\ndjango.db.utils.OperationalError: disk I/O error\n", "disk I/O error"),
        (3, "", "ended with exit code 3"),
    ],
)
def test_a_migration_that_fails_says_why(code, stderr, said):
    assert said in schema._reason(code, stderr)


def test_a_database_that_is_none_is_named(tmp_path):
    (tmp_path / "gateway.sqlite3").write_bytes(b"this is no database" * 1000)
    gateway = GatewayProcess(base_environment(tmp_path))
    gateway.start(wait=False)

    assert gateway.process.wait(60) == 1
    assert "cannot be used: file is not a database. (gateway.E012)" in gateway.output()


def test_a_second_gateway_waits_and_then_says_so(tmp_path, sandbox):
    environment = base_environment(tmp_path, sandbox, DATA_DIR_LOCK_WAIT="1")
    with GatewayProcess(environment):
        second = GatewayProcess(environment)
        second.start(wait=False)
        assert second.process.wait(60) == 1
        assert "Another gateway uses" in second.output() and "gateway.E014" in second.output()


def test_a_gateway_that_waits_for_another_ends_quietly_at_a_signal(tmp_path, sandbox):
    with GatewayProcess(base_environment(tmp_path, sandbox, DATA_DIR_LOCK_WAIT="60")) as first:
        second = GatewayProcess(first.environment | {"HTTP_LISTEN": "off"})
        second.start(wait=False)
        time.sleep(1.0)
        second.stop()


def test_a_signal_during_the_start_ends_it_at_once(tmp_path, sandbox):
    for wait in (0.1, 0.4, 0.8):
        gateway = GatewayProcess(base_environment(tmp_path, sandbox))
        gateway.start(wait=False)
        time.sleep(wait)
        process = gateway.process
        gateway.stop(30, check=False)
        assert process.returncode in {0, -15}  # the latter before the first line of ours has run


def test_a_migration_that_outlives_its_gateway_keeps_the_next_one_waiting(tmp_path, sandbox, monkeypatch):
    """What kills the gateway alone, as the kernel does, leaves its child: two must not migrate at once."""
    lock = data_dir.lock(tmp_path, 1)
    with subprocess.Popen(["sleep", "2"], pass_fds=(lock.fileno(),)):
        lock.close()
        begun = time.monotonic()
        data_dir.lock(tmp_path, 30).close()

    assert time.monotonic() - begun > 1


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_an_address_for_probes_that_is_no_name_is_a_sentence(tmp_path, sandbox, host):
    gateway = GatewayProcess(base_environment(tmp_path, sandbox) | {"HTTP_LISTEN": f"{host}:8080"})
    gateway.environment["HTTP_LISTEN"] = f"{host}:8080"
    gateway.start(wait=False)

    assert gateway.process.wait(60) == 1
    assert "Set HTTP_LISTEN to another address" in gateway.output() and "Traceback" not in gateway.output()
