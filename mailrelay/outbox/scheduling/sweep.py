"""The sweep: looks for what no event announces, and for what is past its time."""

from datetime import datetime

from django.conf import settings
from django.db.models import Exists, OuterRef

from mailrelay.models import Delivery, Mailbox
from mailrelay.models.messages import AGED_FROM, WAITS
from mailrelay.outbox.db import clock, counters, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame, configuration_holds
from mailrelay.outbox.keeping import hourly_totals, message_state
from mailrelay.outbox.rules import age
from mailrelay.outbox.settling.expiry import may_have_been_sent
from mailrelay.vocabulary import Reason, State

#: Seconds between two sweeps.
INTERVAL = 15.0
#: Rows that one step deals with.
BATCH = 200


#: With constants, without which SQLite does not use the index of what waits.
PAST_ITS_TIME = """
    SELECT 1 FROM mailrelay_delivery
    WHERE state IN ('queued', 'deferred') AND COALESCE(released_at, created_at) < %s LIMIT 1
"""


#: Likewise what was accepted while the clock was ahead.
OF_THE_FUTURE = """
    SELECT 1 FROM mailrelay_delivery
    WHERE state IN ('queued', 'deferred') AND COALESCE(released_at, created_at) > %s LIMIT 1
"""


def run() -> bool:
    """Look for what no event announces: lost wake-ups, states out of line, and what is past its time.

    One batch of each, so that the queue does not wait behind a million rows; True where there may be more.
    """
    _wake_the_forgotten()
    moved = configuration_holds.reconcile()
    now = clock.now()
    early = statements.found(OF_THE_FUTURE, now + age.GAP) and write(Move.AGE, _begin_batch)
    aged = statements.found(PAST_ITS_TIME, age.ago(age.most(), now)) and write(Move.AGE, _age_batch)
    counters.fold()
    hourly_totals.keep()
    return bool(moved or early or aged)


def _wake_the_forgotten() -> None:
    """A process that died between its commit and its claim leaves mail that nobody was told about."""
    queued = Delivery.objects.filter(mailbox=OuterRef("pk"), state=State.QUEUED)
    asleep = Mailbox.objects.filter(wake_at__isnull=True, registration__failing=Reason.NONE)
    forgotten = list(
        asleep.filter(registration__active=True).filter(Exists(queued)).values_list("pk", flat=True)[:BATCH]
    )
    if forgotten:
        now = clock.now()
        boxes = Mailbox.objects.filter(pk__in=forgotten, wake_at__isnull=True)
        write(Move.PROMOTE, lambda: boxes.update(wake_at=now), durable=False)


def _begin_batch() -> int:
    """Let the age begin now of what a clock that was ahead has entered: it would only begin in days."""
    now = clock.now()
    rows = Delivery.objects.filter(WAITS).alias(aged_since=AGED_FROM).filter(aged_since__gt=now + age.GAP)
    batch = list(rows.values_list("pk", flat=True)[:BATCH])
    return Delivery.objects.filter(WAITS, pk__in=batch).update(released_at=now)


def _age_batch() -> int:
    """Fail what has waited longer than mail may and was tried; the sender's policy ends what may be sent."""
    now = clock.now()
    rows = Delivery.objects.filter(WAITS).alias(aged_since=AGED_FROM)
    rows = rows.filter(age.tried(now), aged_since__lt=age.ago(age.most(), now))
    rows = rows.select_related("sender").order_by("aged_since")
    batch = list(rows.select_for_update(of=("self",), skip_locked=True, no_key=True)[:BATCH])
    for row in batch:
        _end(row, now)
    return len(batch)


def _end(row: Delivery, now: datetime) -> None:
    hours = settings.DELIVERY_MAX_AGE // 3600
    if may_have_been_sent(row):
        text = f"Too old: within {hours} hours it was not found out whether it was sent. {row.last_error}"
        blame.given_up(row, text.strip(), now)
    else:
        text = f"Too old: not delivered within {hours} hours. {row.last_error}"
        blame.fail(row, Reason.TOO_OLD, text.strip(), now)
    message_state.note(row, text.strip(), now)
