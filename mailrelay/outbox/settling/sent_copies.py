"""Schedules the look for the copy of a sent mail, so that of many processes one does it."""

from datetime import timedelta

from mailrelay.models import SendLog
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.keeping import message_state


def take(row: SendLog, again: timedelta) -> bool:
    """Win the look at a copy that is due; a process that wins and dies leaves it due `again` from now."""
    due = SendLog.objects.filter(pk=row.pk, copy_due_at=row.copy_due_at)
    return bool(write(Move.DRAFT, lambda: due.update(copy_due_at=clock.now() + again), durable=False))


def later(row: SendLog, wait: timedelta) -> None:
    """Look again after `wait`."""
    mine = SendLog.objects.filter(pk=row.pk)
    write(Move.DRAFT, lambda: mine.update(copy_due_at=clock.now() + wait), durable=False)


def done(row: SendLog, text: str = "") -> None:
    """Look no more, and say why on the timeline."""

    def run() -> None:
        if SendLog.objects.filter(pk=row.pk, copy_due_at__isnull=False).update(copy_due_at=None) and text:
            message_state.note(row.delivery, text, clock.now())

    write(Move.DRAFT, run)
