"""A trigger that refuses each move of a delivery that the diagram does not have."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from mailrelay.outbox.rules.moves import LATE, MOVES


@contextmanager
def only_drawn_moves() -> Iterator[None]:
    """Let the test's database refuse every other; only SQLite is asked."""
    if connection.vendor != "sqlite":
        yield
        return
    allowed = " OR ".join(
        f"(OLD.state = '{old}' AND NEW.state = '{new}')" for old, new in MOVES.keys() | LATE
    )
    _run("DROP TRIGGER IF EXISTS only_drawn_moves")
    _run(
        "CREATE TRIGGER only_drawn_moves BEFORE UPDATE OF state ON mailrelay_delivery "
        f"WHEN OLD.state <> NEW.state AND NOT ({allowed}) "
        "BEGIN SELECT RAISE(ABORT, 'a move that is not drawn'); END"
    )
    try:
        yield
    finally:
        _run("DROP TRIGGER only_drawn_moves")


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
