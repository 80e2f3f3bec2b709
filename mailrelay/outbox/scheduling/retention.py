"""Retention: content goes first, the record later, in small batches with rests that leave the queue its pace.

A message is marked as without content before the first of its bytes goes, so that nothing ever reads a part
of it for the whole; what a crash leaves of marked content is found at the next start. Nothing is marked of
which anything may still be sent. Time counts as it does for the age of mail: a clock that is ahead for a
moment removes nothing.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from mailrelay.models import ContentChunk, Delivery, Message
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame
from mailrelay.outbox.keeping import content, message_state, subject_index
from mailrelay.outbox.rules import age
from mailrelay.periodic import PeriodicThread
from mailrelay.vocabulary import OPEN_STATES, Reason, State

log = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL = 5.0
#: Messages, content rows of up to 256 KiB, and recipients that one transaction deals with.
BATCH = 50
CHUNKS = 32
RECIPIENTS = 1000
#: For each second of work so many of rest, at most LONGEST_REST.
REST, LONGEST_REST = 2.0, 2.0
#: Deliveries that their message's content is still needed for, by themselves.
LIVE = tuple(state for state in OPEN_STATES if state != State.HELD)
#: Content that nothing was added to for so long, without a message, was left behind by a crash.
ORPHAN_AGE = timedelta(hours=1)
ORPHAN_WINDOW = timedelta(days=2)
#: SQLite pages of 8 KiB given back to the file system at a time, and those that may stay free for more mail.
PAGES = 250
SPARE = 4 * PAGES


class Retainer(PeriodicThread):
    """Removes what is past its time. One a process that delivers; several do no harm."""

    name = "retention"
    interval = patience = INTERVAL

    def __init__(self) -> None:
        super().__init__()
        self._unfinished = True

    def run_once(self) -> None:
        if self._unfinished:
            finish(self.ended.wait)
            self._unfinished = False
        run(self.ended.wait)


def run(rest: Callable[[float], bool] = lambda _: False) -> None:
    """Remove what is past its time; returns when nothing of it is left.

    `rest` is called between two transactions with the seconds to wait, and returns true to break off.
    """
    steps = (_contents, _rows, _orphans, _subjects, *([_shrink] if connection.vendor == "sqlite" else []))
    for step in steps:
        while _paced(step, rest):
            pass


def finish(rest: Callable[[float], bool] = lambda _: False) -> None:
    """Remove what a crash left of content that is marked as removed: one look over all that is stored."""
    marked = Message.objects.filter(content_removed_at__isnull=False).values("pk")
    left = ContentChunk.objects.filter(number=0, content__in=marked).values_list("content", flat=True)
    _remove_all(list(left), rest)


def _paced(step: Callable[[Callable[[float], bool]], int], rest: Callable[[float], bool]) -> bool:
    """Take one step, then rest; whether there may be more to do."""
    started = monotonic()
    done = step(rest)
    return not rest(min(LONGEST_REST, REST * (monotonic() - started)) if done else 0.0) and done > 0


def _contents(rest: Callable[[float], bool]) -> int:
    """Mark a batch of messages as without content, then remove their bytes."""
    if not _over(clock.now()).exists():
        return 0
    ids = write(Move.RETAIN, _mark, durable=False)
    _remove_all(ids, rest)
    return len(ids)


def _over(now: datetime) -> QuerySet[Message]:
    """Select messages whose content is past its time; one part that is held does not speak for the others."""
    sent = Q(state=State.SENT, state_at__lte=age.ago(timedelta(hours=settings.RETENTION_SENT_HOURS), now))
    unsent = Q(
        state__in=[State.FAILED, State.CANCELLED, State.HELD],
        state_at__lte=age.ago(timedelta(days=settings.RETENTION_FAILED_DAYS), now),
    )
    live = Delivery.objects.filter(message=OuterRef("pk"), state__in=LIVE)
    return Message.objects.filter(sent | unsent, ~Exists(live), content_removed_at__isnull=True)


def _mark() -> list[UUID]:
    now = clock.now()
    found = list(_over(now).values_list("pk", flat=True)[:BATCH])
    # Who releases one of them by hand has its deliveries, or waits here and then finds the mark.
    rows = Delivery.objects.filter(message__in=found).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
    ids = list(_over(now).filter(pk__in=found).values_list("pk", flat=True))
    Message.objects.filter(pk__in=ids).update(content_removed_at=now)
    _give_up_held(ids, now)
    return ids


def _give_up_held(ids: Sequence[UUID], now: datetime) -> None:
    """Fail what was held until its content went: it can never be sent, and somebody has to be told."""
    text = f"Held for {settings.RETENTION_FAILED_DAYS} days and not released: its content is removed."
    for row in Delivery.objects.filter(message__in=ids, state=State.HELD):
        blame.fail(row, Reason.TOO_OLD, f"{text} {row.last_error}".strip(), now)
        message_state.note(row, text, now)


def _remove_all(
    contents: Sequence[UUID],
    rest: Callable[[float], bool],
    some: Callable[[Sequence[UUID]], int] | None = None,
) -> None:
    """Remove the rows of `contents`, a few to a transaction; the first of each goes last, to be found by."""
    remove = some or _remove_some
    for first in range(0, len(contents), BATCH):
        batch = contents[first : first + BATCH]
        while _paced(lambda _: write(Move.RETAIN, lambda: remove(batch), durable=False), rest):  # noqa: B023
            pass


def _remove_some(contents: Sequence[UUID]) -> int:
    rows = ContentChunk.objects.filter(content__in=contents).order_by("content", "-number")
    ids = list(rows.values_list("pk", flat=True)[:CHUNKS])
    ContentChunk.objects.filter(pk__in=ids).delete()
    return len(ids)


def _rows(_: Callable[[float], bool]) -> int:
    return write(Move.RETAIN, _remove_rows, durable=False) if _finished().exists() else 0


def _finished() -> QuerySet[Message]:
    """Select messages whose record is past its time."""
    oldest = age.ago(timedelta(days=settings.RETENTION_ROWS_DAYS))
    return Message.objects.filter(state__in=[State.SENT, State.FAILED, State.CANCELLED], state_at__lte=oldest)


def _remove_rows() -> int:
    """Delete the record of a few messages with all that belongs to it."""
    ids: list[UUID] = []
    recipients = 0
    for pk, count in _finished().values_list("pk", "recipient_count")[:BATCH]:
        recipients += count
        if ids and recipients > RECIPIENTS:
            break
        ids.append(pk)
    content.remove(ids)
    subject_index.remove(ids)
    Message.objects.filter(pk__in=ids).delete()
    return len(ids)


def _orphans(rest: Callable[[float], bool]) -> int:
    """Remove chunks of large mails whose message never came.

    When a chunk was stored is the database's word. The time in a queue id is another host's, or that of the
    form which asked for a forward: it only bounds how far back is looked.
    """
    now = clock.now()
    chunks = ContentChunk.objects.filter(content__gte=_first_id(now - ORPHAN_WINDOW), number=0)
    alone = chunks.filter(~Exists(Message.objects.filter(pk=OuterRef("content"))))
    found = alone.order_by("content").values_list("content", flat=True)
    orphans = list(islice((content for content in found if _is_left(content, now)), BATCH))
    _remove_all(orphans, rest, _remove_orphans)
    if orphans:
        write(Move.RETAIN, lambda: counters.add(counters.ORPHANS_SWEPT, len(orphans)), durable=False)
    return len(orphans)


def _is_left(queue_id: UUID, now: datetime) -> bool:
    """Whether nothing was added to a content for so long that nobody is still storing it."""
    last = ContentChunk.objects.filter(content=queue_id).order_by("-number")
    stored = last.values_list("created_at", flat=True).first()
    return stored is not None and stored < age.ago(ORPHAN_AGE, now)


def _remove_orphans(contents: Sequence[UUID]) -> int:
    """Remove some rows of `contents` that have no message yet, and keep one from coming meanwhile."""
    first = ContentChunk.objects.filter(content__in=contents, number=0)
    mine = list(first.select_for_update(skip_locked=True).values_list("content", flat=True))
    accepted = set(Message.objects.filter(pk__in=mine).values_list("pk", flat=True))
    return _remove_some([queue_id for queue_id in mine if queue_id not in accepted])


def _subjects(_: Callable[[float], bool]) -> int:
    """Make older messages be found by their subject: an upgrade, or a move, leaves them without."""
    return write(Move.RETAIN, subject_index.fill, durable=False) if subject_index.unfilled(1) else 0


def _first_id(at: datetime) -> UUID:
    """Return the smallest queue id of that time (RFC 9562, version 7)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _shrink(_: Callable[[float], bool]) -> int:
    """Give free pages of SQLite back, a few at a time, so that the file stays as large as what it holds."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA freelist_count")
        if int(cursor.fetchone()[0]) <= SPARE:
            return 0

    def give_back() -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA incremental_vacuum({PAGES})")
            cursor.fetchall()
        return PAGES

    return write(Move.RETAIN, give_back, durable=False)
