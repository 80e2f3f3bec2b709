"""What is committed moves from SQLite's log into its file beside the writer."""

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from mailrelay.models import ContentChunk
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.checkpoints import EVERY, LARGE, Checkpoints


@pytest.fixture
def marker(transactional_db):
    """Commit bytes that are found again; they are in the log alone then."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = stored()
    assert not in_the_file(data)
    return data


def stored() -> bytes:
    data = uuid.uuid4().hex.encode() * 4
    ContentChunk.objects.create(content=uuid.uuid4(), number=0, data=data, created_at=clock.now())
    return data


def checkpoint() -> None:
    checkpoints = Checkpoints()
    checkpoints.wrote(EVERY)
    checkpoints.stop()


def in_the_file(data: bytes) -> bool:
    return data in Path(connection.settings_dict["NAME"]).read_bytes()


@pytest.mark.parametrize("moves", [[EVERY], [1] * EVERY, [LARGE] * (EVERY // LARGE)])
def test_it_happens_after_so_many_moves(marker, moves):
    checkpoints = Checkpoints()

    for number in moves:
        checkpoints.wrote(number)
    checkpoints.stop()

    assert in_the_file(marker)


def test_it_does_not_happen_before(marker):
    checkpoints = Checkpoints()

    checkpoints.wrote(EVERY - 1)
    checkpoints.stop()

    assert not in_the_file(marker)


def test_a_reader_that_goes_on_is_not_waited_for(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM mailrelay_contentchunk").fetchone() == (0,)
        data = stored()
        checkpoint()
        assert not in_the_file(data)

    checkpoint()

    assert in_the_file(data)
