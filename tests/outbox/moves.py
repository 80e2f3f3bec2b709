"""The moves of deliveries between states that a database sees: a trigger refuses any that is not drawn."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from mailrelay.outbox.rules.moves import MOVES


@contextmanager
def only_drawn_moves() -> Iterator[None]:
    """Let the test's database refuse each update of a delivery's state that MOVES does not have."""
    allowed = " OR ".join(f"(OLD.state = '{old}' AND NEW.state = '{new}')" for old, new in MOVES if old)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER only_drawn_moves BEFORE UPDATE OF state ON mailrelay_delivery "
            f"WHEN OLD.state <> NEW.state AND NOT ({allowed}) "
            "BEGIN SELECT RAISE(ABORT, 'a move that is not drawn: ' || OLD.state || ' to ' || NEW.state); END"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER only_drawn_moves")
