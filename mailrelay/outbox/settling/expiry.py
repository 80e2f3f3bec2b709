"""Ends work whose worker is gone: leases and reservations whose time is over.

What expires without an open attempt was never sent; with one, it may have been.
"""

from datetime import datetime, timedelta

from django.db.models import F

from mailrelay.models import Delivery, Mailbox, SendLog
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Outcome, Reason, Route, State

#: Crashes in a row, before any attempt, after which a message counts as poison.
MOST_CRASHES = 3
POISONED = "It was the third time, so the message is held: look at it, then release or cancel it."
#: Expired leases that one transaction deals with.
BATCH = 100


def expire() -> int:
    """Deal with leases and reservations whose time is over; return how many there were."""
    return write(Move.EXPIRE, _expire_batch)


def _expire_batch() -> int:
    now = clock.now()
    rows = Delivery.objects.filter(IN_FLIGHT, leased_until__lt=now).select_related("sender")
    over = list(
        rows.select_for_update(of=("self",), skip_locked=True, no_key=True).order_by("leased_until")[:BATCH]
    )
    for row in over:
        _expire_one(row, now)
    Mailbox.objects.filter(pk__in={row.mailbox_id for row in over}).update(wake_at=now)
    return len(over)


def _expire_one(row: Delivery, now: datetime) -> None:
    mine = Delivery.objects.filter(pk=row.pk, token=row.token, state=row.state)
    if row.state == State.RESERVED:
        mine.update(state=State.QUEUED, token=None, leased_until=None)
        return
    if not mine.update(token=None, leased_until=None, crashes=F("crashes") + 1):
        return
    counters.add(counters.LEASES_EXPIRED)
    attempt = SendLog.objects.filter(delivery=row, finished_at__isnull=True).order_by("-number").first()
    if attempt is not None:
        (_interrupted if may_have_sent(attempt) else _unfinished)(row, attempt, now)
        return
    text = f"The worker {row.lease_owner} ended while it prepared this message; nothing was sent."
    poisoned = row.crashes + 1 >= MOST_CRASHES
    if poisoned:
        counters.add(counters.POISON)
        text = f"{text} {POISONED}"
    Delivery.objects.filter(pk=row.pk).update(
        state=State.HELD if poisoned else State.QUEUED,
        reason=Reason.POISON if poisoned else Reason.NONE,
        last_error=text,
    )
    message_state.note(row, text, now)
    message_state.message(row.message_id, now)


def may_have_sent(attempt: SendLog) -> bool:
    """Whether an attempt without a result may have sent its mail: not while its draft was being filled."""
    return attempt.route != Route.LARGE or attempt.draft_complete


def may_have_been_sent(row: Delivery) -> bool:
    """Whether the outcome of the latest attempt is not known."""
    latest = SendLog.objects.filter(delivery=row).order_by("-number").first()
    return latest is not None and latest.outcome == Outcome.UNCERTAIN


def _unfinished(row: Delivery, attempt: SendLog, now: datetime) -> None:
    """The worker vanished before the draft was whole; it is deferred: the mail may be what ends workers."""
    text = f"The worker {row.lease_owner} ended while it uploaded this message; nothing was sent."
    SendLog.objects.filter(pk=attempt.pk, finished_at__isnull=True).update(
        finished_at=now, outcome=Outcome.TRANSIENT, reason=Reason.SERVER_ERROR, sentence=text
    )
    blame.defer(row, Reason.SERVER_ERROR, text, now, None)


def _interrupted(row: Delivery, attempt: SendLog, now: datetime) -> None:
    """The worker vanished between the request and the record of its answer: Graph may have sent it."""
    text = "The worker ended before Graph's answer was on record: the mail may or may not have been sent."
    advice = (
        "It is settled by the sender's policy for uncertain mail; Sent Items of the mailbox shows the truth."
    )
    SendLog.objects.filter(pk=attempt.pk, finished_at__isnull=True).update(
        finished_at=now, outcome=Outcome.UNCERTAIN, reason=Reason.UNCERTAIN, sentence=text, advice=advice
    )
    blame.uncertain(row, text, now)


def recover() -> None:
    """Expire every reservation and lease now: for a process that knows that no other works on this queue."""

    def run() -> int:
        return Delivery.objects.filter(IN_FLIGHT).update(leased_until=clock.now() - timedelta(seconds=1))

    if write(Move.EXPIRE, run):
        while expire():
            pass
