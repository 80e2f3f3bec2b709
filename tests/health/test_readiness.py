"""Readiness as the mission means it: room for a mail, and a token for the default sender."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from mailrelay.health import readiness
from tests.harness.ports import eventually, free_port
from tests.harness.processes import GatewayProcess, base_environment, rows

MIB, GIB = 2**20, 2**30


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def wait_until_ready(gateway) -> None:
    try:
        eventually(lambda: gateway.get("/ready") == 200, what="readiness")
    except AssertionError as late:
        raise AssertionError(f"{gateway.ready()}\n{gateway.output()}") from late


def wait_until_failed(gateway, check: str, wanted: str) -> str:
    """Wait until exactly `check` fails, for the reason that is `wanted`; return all that is said of it."""

    def failed() -> bool:
        said = gateway.ready()
        return gateway.get("/ready") == 503 and said["failed"] == [check] and wanted in said["checks"][check]

    eventually(failed, what=f"{check} failing with {wanted!r}")
    return gateway.ready()["checks"][check]


def note(gateway, **columns) -> None:
    """Write what a token request in the past would have left."""
    path = Path(gateway.environment["DATA_DIR"]) / "gateway.sqlite3"
    names = ", ".join(f"{name} = ?" for name in columns)
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(f"UPDATE mailrelay_appregistration SET {names}", list(columns.values()))


def ago(**time) -> str:
    return (datetime.now(UTC) - timedelta(**time)).strftime("%Y-%m-%d %H:%M:%S")


def test_a_wrong_secret_is_unready_by_name_and_the_right_one_ready(tmp_path, sandbox_of_module):
    environment = base_environment(tmp_path, sandbox_of_module)
    gateway = GatewayProcess(environment)
    with gateway:
        wait_until_ready(gateway)
        gateway.stop()

        gateway.start(AZURE_CLIENT_SECRET="a-wrong-secret")
        said = wait_until_failed(gateway, "token", "Entra ID refused the credential of environment: ")
        assert "a-wrong-secret" not in said + gateway.output()
        assert gateway.get("/health") == 200
        gateway.stop()

        gateway.start()
        wait_until_ready(gateway)


def test_entra_may_be_away_for_a_day_once_it_gave_a_token(tmp_path, sandbox):
    with GatewayProcess(base_environment(tmp_path, sandbox)) as gateway:
        wait_until_ready(gateway)
        sandbox.stop()

        note(gateway, token_expires_at=ago(minutes=1), token_succeeded_at=ago(hours=23), token_error="")
        _after_another_look(gateway)
        assert gateway.get("/ready") == 200

        note(gateway, token_succeeded_at=ago(hours=25))
        wait_until_failed(gateway, "token", "has had no token for a day")

        note(gateway, token_expires_at=ago(hours=-1))
        wait_until_ready(gateway)


def _after_another_look(gateway) -> None:
    """Wait for a look at the database that began after now."""
    ((before,),) = rows(gateway.environment, "SELECT COUNT(*) FROM mailrelay_mailbox WHERE paused_until > 0")
    path = Path(gateway.environment["DATA_DIR"]) / "gateway.sqlite3"
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute("UPDATE mailrelay_mailbox SET paused_until = ?", [ago(hours=-1)])
    eventually(lambda: gateway.metrics()["graph_smtp_paused_mailboxes"] == before + 1, what="a new look")


def test_a_sender_that_never_had_a_token_is_unready(tmp_path, sandbox_of_module):
    away = f"https://127.0.0.1:{free_port()}"
    environment = base_environment(tmp_path, sandbox_of_module, AZURE_AUTHORITY_HOST=away)
    with GatewayProcess(environment) as gateway:
        wait_until_failed(gateway, "token", "has not had a token yet")


def test_without_a_default_sender_nothing_is_ready(tmp_path):
    with GatewayProcess(base_environment(tmp_path)) as gateway:
        wait_until_failed(gateway, "token", "no default sender is configured")


@pytest.mark.parametrize(
    ("total", "free", "ready"),
    [
        (100 * GIB, 65 * MIB, True),
        (100 * GIB, 63 * MIB, False),
        (200 * MIB, 21 * MIB, True),
        (200 * MIB, 19 * MIB, False),
    ],
)
def test_a_disk_without_room_for_mail_is_named(monkeypatch, total, free, ready):
    """The floor is that of the listener: what it refuses mail for is what makes it unready."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, total - free, free))

    said = readiness.spool()

    assert (said == readiness.OK) is ready
    assert ready or said.startswith(f"only {free // MIB} MiB are free on the disk of ")
