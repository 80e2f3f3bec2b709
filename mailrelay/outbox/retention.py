"""Retention: content goes first, the record later, both in small batches that never hold the queue up."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q

from mailrelay.models import ContentChunk, Message
from mailrelay.outbox import clock, content, counters
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import State

#: Messages that one transaction deals with.
BATCH = 50
#: Chunks older than this without a message were left behind by a crash.
ORPHAN_AGE = timedelta(hours=1)
ORPHAN_WINDOW = timedelta(days=2)
#: SQLite pages given back to the file system at a time.
PAGES = 500


def run() -> None:
    """Remove what is past its time; returns when nothing of it is left."""
    while write(Move.RETAIN, _contents, durable=False):
        pass
    while write(Move.RETAIN, _rows, durable=False):
        pass
    while write(Move.RETAIN, _orphans, durable=False):
        pass
    if connection.vendor == "sqlite":
        _shrink()


def _contents() -> int:
    now = clock.now()
    sent = Q(state=State.SENT, state_at__lte=now - timedelta(hours=settings.RETENTION_SENT_HOURS))
    unsent = Q(
        state__in=[State.FAILED, State.CANCELLED, State.HELD],
        state_at__lte=now - timedelta(days=settings.RETENTION_FAILED_DAYS),
    )
    over = Message.objects.filter(sent | unsent, content_removed_at__isnull=True)
    ids = list(over.values_list("pk", flat=True)[:BATCH])
    content.remove(ids)
    Message.objects.filter(pk__in=ids).update(content_removed_at=now)
    return len(ids)


def _rows() -> int:
    oldest = clock.now() - timedelta(days=settings.RETENTION_ROWS_DAYS)
    finished = Message.objects.filter(
        state__in=[State.SENT, State.FAILED, State.CANCELLED], state_at__lte=oldest
    )
    ids = list(finished.values_list("pk", flat=True)[:BATCH])
    content.remove(ids)
    Message.objects.filter(pk__in=ids).delete()
    return len(ids)


def _orphans() -> int:
    """Remove chunks of large mail whose message never came; a queue id tells its own age."""
    now = clock.now()
    chunks = ContentChunk.objects.filter(
        content__gte=_first_id(now - ORPHAN_WINDOW), content__lt=_first_id(now - ORPHAN_AGE), number=0
    )
    known = Message.objects.values("pk")
    orphans = list(chunks.exclude(content__in=known).values_list("content", flat=True)[:BATCH])
    content.remove(orphans)
    if orphans:
        counters.add(counters.ORPHANS_SWEPT, len(orphans))
    return len(orphans)


def _first_id(at: datetime) -> UUID:
    """Return the smallest queue id of that time (RFC 9562, version 7)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _shrink() -> None:
    """Give free pages back, a few at a time, so that the file stays as large as what it holds."""

    def some() -> int:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA freelist_count")
            free = int(cursor.fetchone()[0])
            if free > 4 * PAGES:
                cursor.execute(f"PRAGMA incremental_vacuum({PAGES})")
                cursor.fetchall()
        return free

    while write(Move.RETAIN, some, durable=False) > 4 * PAGES:
        pass
