"""The words of subjects, so that a message is found by how they begin: FTS5 on SQLite, GIN on PostgreSQL.

A row has the id of its message's first delivery, since ids of deliveries are numbers that grow with time.
Rows come in the transaction that accepts their message, and go in the one that deletes it; messages that are
older than the table are filled in gradually, the newest first (https://www.sqlite.org/fts5.html,
https://www.postgresql.org/docs/current/textsearch.html).
"""

import re
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from mailrelay.models import Delivery

#: Messages that are filled in by one transaction.
BATCH = 500
#: Messages that commit together, at most.
MOMENT = 256
#: Words of a search that count: more narrow it no further in practice.
WORDS = 8
_GAPS = re.compile(r"[\W_]+")

_ADD = {
    "sqlite": "INSERT INTO mailrelay_subject (rowid, subject) VALUES (%s, %s)",
    "postgresql": "INSERT INTO mailrelay_subject (id, words) VALUES (%s, strip(to_tsvector('simple', %s))) "
    "ON CONFLICT DO NOTHING",
}
_REMOVE = {
    "sqlite": "DELETE FROM mailrelay_subject WHERE rowid = %s",
    "postgresql": "DELETE FROM mailrelay_subject WHERE id = %s",
}
_OLDEST = {
    "sqlite": "SELECT rowid FROM mailrelay_subject ORDER BY rowid LIMIT 1",
    "postgresql": "SELECT id FROM mailrelay_subject ORDER BY id LIMIT 1",
}
#: Deliveries that are the first of their message, below an id, the newest first.
_UNFILLED = """
    SELECT d.id, m.subject FROM mailrelay_delivery d JOIN mailrelay_message m ON m.id = d.message_id
    WHERE d.id < %s
    AND NOT EXISTS (SELECT 1 FROM mailrelay_delivery e WHERE e.message_id = d.message_id AND e.id < d.id)
    ORDER BY d.id DESC LIMIT %s
"""
_FOUND = {
    "sqlite": ("SELECT rowid AS id FROM mailrelay_subject WHERE subject MATCH %s", "rowid"),
    "postgresql": ("SELECT id FROM mailrelay_subject WHERE words @@ to_tsquery('simple', %s)", "id"),
}
#: Above every id.
_TOP = 2**62


def words(text: str) -> list[str]:
    """Take `text` apart into the words that a search goes by: letters and digits, at most WORDS of them."""
    return [word for word in _GAPS.split(text) if word][:WORDS]


def add(rows: Iterable[tuple[int, str]]) -> None:
    """Note subjects, each with the id of its message's first delivery, in the caller's transaction."""
    values = [(pk, _GAPS.sub(" ", subject)) for pk, subject in rows]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(_ADD[connection.vendor], values)


def remove(messages: Iterable[UUID]) -> None:
    """Forget the subjects of `messages`, which still have their deliveries, in the caller's transaction."""
    ids = Delivery.objects.filter(message__in=list(messages)).values_list("pk")
    values = list(ids)
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(_REMOVE[connection.vendor], values)


def unfilled(most: int = BATCH) -> list[tuple[int, str]]:
    """List the newest `most` messages that are older than all that were noted: first delivery, subject."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST[connection.vendor])
        row = cursor.fetchone()
        cursor.execute(_UNFILLED, [row[0] if row else _TOP, most])
        return [(int(pk), str(subject)) for pk, subject in cursor.fetchall()]


def fill() -> int:
    """Note a batch of older messages in the caller's transaction; return how many there were."""
    rows = unfilled()
    add(rows)
    return len(rows)


def matching(text: str, most: int, newest: UUID | None = None) -> list[UUID]:
    """Find the newest `most` messages whose subject has, for each word of `text`, one that begins with it.

    `newest` is the greatest message id that counts. Case is ignored.
    """
    terms = words(text)
    if not terms:
        return []
    found, key = _FOUND[connection.vendor]
    bound = [_until(newest)] if newest else []
    limited = f"{found}{f' AND {key} <= %s' if bound else ''} ORDER BY {key} DESC LIMIT %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.message_id FROM ({limited}) AS s "  # noqa: S608 - a statement of our own
            "JOIN mailrelay_delivery d ON d.id = s.id ORDER BY s.id DESC",
            [_asked(terms), *bound, most],
        )
        return [pk if isinstance(pk, UUID) else UUID(pk) for (pk,) in cursor.fetchall()]


def _asked(terms: list[str]) -> str:
    if connection.vendor == "sqlite":
        return " ".join(f'"{term}"*' for term in terms)
    return " & ".join(f"'{term}':*" for term in terms)


def _until(newest: UUID) -> int:
    """Return the id behind which all deliveries are of messages younger than `newest`, but for late parts.

    What was stored in one moment is stored in any order.
    """
    older = Delivery.objects.filter(message_id__lte=newest).order_by("-message_id")
    return max(older.values_list("pk", flat=True)[:MOMENT], default=0)
