"""Where memory is short, the pages of SQLite's files leave the page cache, and its locks stay."""

import subprocess
from pathlib import Path

import pytest
from django.db import connection

from mailrelay import memory
from mailrelay.models import AppRegistration
from mailrelay.processes.page_cache import PageCache

pytestmark = pytest.mark.django_db(transaction=True)
MEBIBYTE = 2**20


@pytest.fixture
def files(tmp_path, settings):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has no files here")
    path = Path(connection.settings_dict["NAME"])
    AppRegistration.objects.create(
        name="large", tenant_id="t", client_id="c", failing_text="x" * 2 * MEBIBYTE
    )
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        cursor.fetchone()
    subprocess.run(["sync"], check=True)
    return path, Path(f"{path}-wal")


def cached(path: Path) -> int:
    """Return the bytes of a file that are in the page cache."""
    done = subprocess.run(
        ["fincore", "-b", "-n", "-o", "RES", path], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[0])


def locks(path: Path) -> list[str]:
    """List the POSIX locks of all processes on a file."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return sorted(line.partition(":")[2] for line in lines if inode in line)


def test_pages_are_let_go_and_locks_stay(files, monkeypatch):
    monkeypatch.setattr(memory, "scarce", lambda: True)
    monkeypatch.setattr(memory, "is_short", lambda: True)
    database, log = files
    before, held = cached(database) + cached(log), locks(database)
    cache = PageCache()

    cache.run_once()
    cache.run_once()

    assert before > 2 * MEBIBYTE
    assert cached(database) + cached(log) < MEBIBYTE
    assert locks(database) == held != []
    assert AppRegistration.objects.get(name="large").failing_text.count("x") == 2 * MEBIBYTE


def test_pages_stay_while_memory_is_left(files, monkeypatch):
    monkeypatch.setattr(memory, "scarce", lambda: True)
    monkeypatch.setattr(memory, "is_short", lambda: False)

    PageCache().run_once()

    assert cached(files[0]) > 2 * MEBIBYTE


@pytest.mark.parametrize(
    ("most", "left", "short"), [(None, None, False), (1 << 40, 1, False), (128, 40, False), (128, 31, True)]
)
def test_memory_is_short_where_it_is_scarce_and_three_quarters_are_taken(most, left, short, monkeypatch):
    monkeypatch.setattr(memory, "limit", lambda: most)
    monkeypatch.setattr(memory, "left", lambda: left)

    assert memory.is_short() is short
