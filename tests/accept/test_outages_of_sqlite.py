"""SQLite locked, full or failing: 451 or 452 in time, nothing half-stored, and recovery by itself."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.accept.installation import (
    OnSQLite,
    deliver,
    greeting_of,
    hand_in,
    on_sqlite,
    queue_id_of,
    reply_in_time,
    sent,
    wait_until_mail_is_taken,
)
from tests.harness.ports import eventually
from tests.smtp.smtp_server import Talk

#: Bytes of the database's log that no mail of these tests fits into.
SHORT = 32_000


def test_a_lock_held_by_another_process_is_451_in_time_and_what_follows_is_turned_away(on_sqlite_alone):
    relay = on_sqlite_alone.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with on_sqlite_alone.locked(), hand_in(relay.smtp_port, sent(2)) as talk:
        assert reply_in_time(talk).startswith("451 4.3.0 ")
        assert talk.say("MAIL FROM:<app@contoso.test>").startswith("451 4.3.0 ")
        assert relay.metrics()["graph_smtp_storage_stalled"] == 1

    wait_until_mail_is_taken(relay)
    assert relay.metrics()["graph_smtp_storage_stalled"] == 0
    assert on_sqlite_alone.count("message") == on_sqlite_alone.count("contentchunk") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit changes another process's limits on Linux alone")
def test_a_file_that_cannot_be_written_is_451_until_a_write_succeeds(on_sqlite_alone):
    import resource

    relay = on_sqlite_alone.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    # Every write beyond the first byte fails with EFBIG, which to SQLite is an error of the disk.
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    replies = [deliver(relay.smtp_port, sent(2)), greeting_of(relay)]
    resource.prlimit(
        relay.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )

    assert [reply[:9] for reply in replies] == ["451 4.3.0", "421 4.3.2"]
    wait_until_mail_is_taken(relay)
    assert on_sqlite_alone.count("message") == on_sqlite_alone.count("contentchunk") == 2


@pytest.fixture
def on_a_tiny_disk(tmp_path, sqlite_template):
    """An installation on a file system of 24 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = os.getuid() == 0 and shutil.which("mount") and sys.platform == "linux"
    mounted = (
        mounted
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a file system of its own needs root, Linux and the right to mount")
    try:
        made: OnSQLite = on_sqlite(folder / "data", sqlite_template)
        with made.entered:
            yield made
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def filled(installation, spare: int):
    """Leave `spare` bytes of the installation's disk free, and none that the database could give back."""
    ballast = installation.folder / "ballast"
    eventually(lambda: fill(installation, ballast, spare), 60, "the disk being full")
    yield
    ballast.unlink()


def fill(installation, ballast, spare: int) -> bool:
    """Whether the disk could be filled while nothing was written to it, and the log of the database is short.

    A connection that is dropped after a fault may be the last: then the log goes, and its room is free again.
    """
    with closing(sqlite3.connect(installation.path, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        free = shutil.disk_usage(installation.folder).free
        try:
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free - spare)
        except OSError:
            ballast.unlink()
            return False
        if Path(f"{installation.path}-wal").stat().st_size < SHORT:
            return True
        ballast.unlink()
        return False


def test_a_disk_that_has_little_room_is_452_at_mail(on_a_tiny_disk):
    relay = on_a_tiny_disk.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with filled(on_a_tiny_disk, 1_000_000), Talk(relay.smtp_port) as talk:
        assert talk.say("EHLO client.test").startswith("250")
        # What was found a moment ago still counts for a second.
        eventually(lambda: talk.say("MAIL FROM:<a@contoso.test>", "RSET") and asked(talk), 30, "452")
        eventually(lambda: relay.get("/ready") == 503, 30, "readiness seeing it")

    wait_until_mail_is_taken(relay)
    assert on_a_tiny_disk.count("message") == 2


def asked(talk) -> bool:
    reply = talk.say("MAIL FROM:<a@contoso.test>")
    talk.say("RSET")
    return reply.startswith("452 4.3.1 ")


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_a_disk_that_fills_up_in_transfer_is_452_with_nothing_half_stored(on_a_tiny_disk, size):
    relay = on_a_tiny_disk.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with Talk(relay.smtp_port) as talk:
        talk.begin("app@contoso.test", "ann@example.org")
        with filled(on_a_tiny_disk, 0):
            talk.send(sent(2, size) + b".\r\n")
            assert reply_in_time(talk).startswith("452 4.3.1 ")
        assert on_a_tiny_disk.count("message") == 1

    wait_until_mail_is_taken(relay)
    eventually(lambda: on_a_tiny_disk.count("contentchunk") == 2, 30, "nothing half-stored")
