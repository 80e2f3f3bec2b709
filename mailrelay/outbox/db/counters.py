"""Durable totals: incremented in the transaction of what they count, summed over processes."""

import os
import socket
import threading
from datetime import timedelta
from functools import lru_cache
from uuid import uuid4

from django.db.models import F, Sum

from mailrelay.models import Counter
from mailrelay.outbox.db import clock, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write

ACCEPTED = "accepted"
SENT = "sent"
FAILED = "failed"
DEFERRED = "deferred"
UNCERTAIN = "uncertain"
SECOND_COPIES = "second_copies"
POISON = "poison"
LEASES_EXPIRED = "leases_expired"
CLAIM_CONFLICTS = "claim_conflicts"
DISOWNED = "disowned"
REPEATED = "repeated"
MESSAGE_IDS_REUSED = "message_ids_reused"
ORPHANS_SWEPT = "orphans_swept"
TOKEN_REFRESHES = "token_refreshes"  # noqa: S105 - a name, not a token
TOKEN_FAILURES = "token_failures"  # noqa: S105 - likewise
ALL = (
    ACCEPTED,
    SENT,
    FAILED,
    DEFERRED,
    UNCERTAIN,
    SECOND_COPIES,
    POISON,
    LEASES_EXPIRED,
    CLAIM_CONFLICTS,
    DISOWNED,
    REPEATED,
    MESSAGE_IDS_REUSED,
    ORPHANS_SWEPT,
    TOKEN_REFRESHES,
    TOKEN_FAILURES,
)
_ADD = "UPDATE mailrelay_counter SET value = value + %s, updated_at = %s WHERE process = %s AND name = %s"
#: A row that was not touched for so long is folded into the common one.
IDLE = timedelta(hours=1)


@lru_cache(maxsize=8)
def _name_of(pid: int) -> str:
    return f"{socket.gethostname()[:150]}:{pid}:{uuid4().hex[:8]}"


def process_name() -> str:
    """Name this process, differently from every other there was."""
    return _name_of(os.getpid())


def add(name: str, amount: int = 1) -> None:
    """Add to a total, in the caller's transaction."""
    row = _row_of_thread()
    if not statements.changed(_ADD, amount, clock.now(), row, name):
        Counter.objects.create(process=row, name=name, value=amount)


def _row_of_thread() -> str:
    """Name the rows that this thread alone adds to: one shared would be locked while commits are flushed."""
    return f"{process_name()}/{threading.get_native_id()}"


def totals() -> dict[str, int]:
    """Sum every total over all processes; a total that was never counted is 0."""
    sums = dict(Counter.objects.values_list("name").annotate(total=Sum("value")))
    return dict.fromkeys(ALL, 0) | sums


def fold() -> None:
    """Add up the rows of processes that are gone; no sum changes."""

    def run() -> None:
        idle = Counter.objects.exclude(process="").filter(updated_at__lt=clock.now() - IDLE)
        for row in idle.select_for_update(no_key=True).order_by("pk")[:500]:
            _, created = Counter.objects.get_or_create(
                process="", name=row.name, defaults={"value": row.value}
            )
            if not created:
                Counter.objects.filter(process="", name=row.name).update(value=F("value") + row.value)
            row.delete()

    write(Move.RETAIN, run)
