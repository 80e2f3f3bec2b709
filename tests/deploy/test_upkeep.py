"""Backups that bring the queue back, and the way from SQLite to PostgreSQL with mail in flight."""

import subprocess
from pathlib import Path

import pytest

from tests.harness.processes import (
    FIELD_KEY,
    SECRET_KEY,
    GatewayProcess,
    Relay,
    Worker,
    mail,
    manage,
    rows,
    send,
    states,
    wait_for_state,
)
from tests.harness.services import program


def fill(embedded, waiting: int) -> GatewayProcess:
    """Send one mail that arrives, and `waiting` that cannot go since Microsoft is away."""
    process = embedded.start()
    send(process.smtp_port, mail("arrived"))
    embedded.wait_for(sent=1)
    embedded.sandbox.stop()
    for number in range(waiting):
        send(process.smtp_port, mail(number, size=300_000 if number == 0 else 0))
    return process


def delivered(embedded) -> list[str]:
    """Name what was delivered since the sandbox came back; what had arrived before must not be among it."""
    return sorted(entry["internet_message_id"] for entry in embedded.delivered())


def test_a_backup_taken_while_mail_comes_in_brings_the_queue_back_elsewhere(embedded, tmp_path):
    process = fill(embedded, 5)
    archive = tmp_path / "gateway.zip"
    manage(embedded.environment, "backup", str(archive))
    process.kill()
    elsewhere = embedded.environment | {"DATA_DIR": str(tmp_path / "elsewhere")}
    said = manage(elsewhere, "restore", str(archive)).stdout
    embedded.sandbox.start()
    keys = {path.name: path.read_text() for path in Path(embedded.environment["DATA_DIR"], "keys").iterdir()}
    with GatewayProcess(elsewhere):
        wait_for_state(elsewhere, {"sent": 6}, 120)

    assert archive.stat().st_mode & 0o077 == 0
    assert "sent again" in said
    assert {p.name: p.read_text() for p in Path(elsewhere["DATA_DIR"], "keys").iterdir()} == keys
    assert delivered(embedded) == [f"<test-{n}@app.test>" for n in range(5)]


def test_a_restore_never_overwrites_a_queue(embedded, tmp_path):
    process = embedded.start()
    archive = tmp_path / "gateway.zip"
    manage(embedded.environment, "backup", str(archive))
    process.stop()
    done = manage(embedded.environment, "restore", str(archive), check=False)

    assert done.returncode == 1
    assert "empty DATA_DIR" in done.stderr
    assert manage(embedded.environment, "backup", str(archive), check=False).returncode == 1


def test_what_is_no_backup_is_refused_and_nothing_is_left(embedded, tmp_path):
    file = tmp_path / "gateway.zip"
    file.write_bytes(b"not a zip file")
    done = manage(embedded.environment, "restore", str(file), check=False)

    assert "cannot be read as a backup" in done.stderr
    assert not (Path(embedded.environment["DATA_DIR"]) / "gateway.sqlite3").exists()


@pytest.mark.services
def test_postgresql_is_dumped_and_restored_by_the_commands_of_the_page(on_redis, tmp_path):
    folders = sorted((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    listener = on_redis.start()
    send(listener.smtp_port, mail(1))
    on_redis.wait_for(sent=1)
    url, dump = on_redis.environment["DATABASE_URL"], tmp_path / "gateway.dump"
    subprocess.run([program("pg_dump", *folders), "--format=custom", f"--file={dump}", url], check=True)
    other = on_redis.database.database()
    subprocess.run(
        [program("pg_restore", *folders), "--no-owner", f"--dbname={other}", str(dump)], check=True
    )
    restored = on_redis.environment | {"DATABASE_URL": other}

    assert states(restored) == {"sent": 1}
    assert manage(restored, "mailq", "--state", "sent").returncode == 0


@pytest.mark.services
@pytest.mark.timeout(240)
def test_the_queue_moves_to_postgresql_with_mail_in_flight(embedded, postgresql, redis):
    process = fill(embedded, 6)
    process.kill()
    before = rows(embedded.environment, "SELECT id FROM mailrelay_message ORDER BY id")
    keys = Path(embedded.environment["DATA_DIR"]) / "keys"
    url = postgresql.database()
    redis.flush()
    scaled = embedded.environment | {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": redis.url,
        "LEASE_SECONDS": "3",
        "UNCERTAIN_DELAY": "2",
        "FIELD_ENCRYPTION_KEYS": (keys / "field_encryption_keys").read_text(),
        "DJANGO_SECRET_KEY": (keys / "django_secret_key").read_text(),
    }
    unready = manage(embedded.environment, "migrate_queue", "--to", url, check=False)
    manage(scaled, "migrate", "--verbosity", "0")
    manage(embedded.environment, "migrate_queue", "--to", url)
    old = manage(embedded.environment, "rungateway", check=False)
    again = manage(embedded.environment, "migrate_queue", "--to", url, check=False)

    embedded.sandbox.start()
    with Relay(scaled) as relay, Worker(scaled):
        send(relay.smtp_port, mail("new"))
        wait_for_state(scaled, {"sent": 8}, 120)

    after = {str(row[0]).replace("-", "") for row in rows(scaled, "SELECT id FROM mailrelay_message")}
    assert "run manage.py migrate" in unready.stderr
    assert "gateway.E030" in old.stderr
    assert "gateway.E030" in again.stderr
    assert {str(row[0]).replace("-", "") for row in before} < after
    assert delivered(embedded) == sorted(f"<test-{name}@app.test>" for name in [*range(6), "new"])
    # `migrate` had made the environment's sender there: it came along instead, once.
    assert rows(scaled, "SELECT COUNT(*) FROM mailrelay_senderconfig") == [(1,)]


@pytest.mark.services
def test_a_queue_never_moves_into_one_that_has_mail(on_redis, tmp_path):
    listener = on_redis.start()
    send(listener.smtp_port, mail(1))
    on_redis.wait_for(sent=1)
    url = on_redis.environment["DATABASE_URL"]
    own = {name: value for name, value in on_redis.environment.items() if not name.endswith("_URL")}
    own |= {
        "DATA_DIR": str(tmp_path / "own"),
        "FIELD_ENCRYPTION_KEYS": FIELD_KEY,
        "DJANGO_SECRET_KEY": SECRET_KEY,
    }
    (tmp_path / "own").mkdir()
    manage(own, "migrate", "--verbosity", "0")
    done = manage(own, "migrate_queue", "--to", url, check=False)

    assert "There is mail in the other database already" in done.stderr
    assert states(on_redis.environment) == {"sent": 1}
    assert manage(own, "check").returncode == 0
