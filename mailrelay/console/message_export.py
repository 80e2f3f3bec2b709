"""The list of messages as CSV: streamed, without bodies, and without cells that a spreadsheet would run.

What begins like a formula gets an apostrophe (https://owasp.org/www-community/attacks/CSV_Injection), behind
a semicolon too: where the comma is the decimal sign, that parts cells, whatever quotes stand around.
"""

import csv
import re
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from mailrelay.console import message_search
from mailrelay.console.message_search import Criteria
from mailrelay.models import Message

HEADINGS = (
    *("queue id", "accepted", "state", "state since", "MAIL FROM", "From", "recipients", "subject"),
    *("Message-ID", "sender", "client address", "bytes"),
)
#: Rows that are read at a time; no cursor stays open while the browser takes them.
BATCH = 500
#: Recipients of one message that are listed.
LISTED = 50
#: What a formula begins with, at the begin of a cell or behind what some spreadsheets part cells by.
_FORMULA = re.compile(r"(^|[;\t\r\n]\s*)(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


class _Line:
    """What csv writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def export(rows: QuerySet[Message], asked: Criteria | None = None) -> StreamingHttpResponse:
    """Answer all of `rows`, the newest first, in memory that does not grow with them.

    With `asked`, all that are that: what a list shows of them ends somewhere.
    """
    writer = csv.writer(_Line())
    found = _all(rows) if asked is None or not asked.narrows else _found(asked)
    lines = (writer.writerow([safe(cell) for cell in cells]) for cells in _table(found))
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="messages.csv"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def safe(cell: object) -> str:
    return _FORMULA.sub(r"\1'", str(cell))


def _table(rows: Iterator[Message]) -> Iterator[tuple[object, ...]]:
    yield HEADINGS
    for row in rows:
        addresses = [recipient.address for recipient in row.recipients.all()]
        more = [f"and {len(addresses) - LISTED} more"] if len(addresses) > LISTED else []
        yield (
            *(row.queue_id, row.created_at.isoformat(), row.state, row.state_at.isoformat()),
            *(row.mail_from, row.header_from, " ".join([*addresses[:LISTED], *more]), row.subject),
            *(row.message_id, row.sender.name, row.client_address, row.size),
        )


def _all(rows: QuerySet[Message]) -> Iterator[Message]:
    """Read on from the last row each time: an offset would read again what is behind it."""
    rest = _readable(rows.prefetch_related(None))
    batch = list(rest[:BATCH])
    while batch:
        yield from batch
        last = batch[-1]
        older = rest.filter(created_at__lte=last.created_at)
        batch = list(older.exclude(created_at=last.created_at, pk__gte=last.pk)[:BATCH])


def _found(asked: Criteria) -> Iterator[Message]:
    for ids in message_search.find_all(asked):
        for first in range(0, len(ids), BATCH):
            yield from _readable(Message.objects.filter(pk__in=ids[first : first + BATCH]))


def _readable(rows: QuerySet[Message]) -> Any:
    return rows.prefetch_related("recipients").select_related("sender").order_by("-created_at", "-pk")
