"""The age of mail: the time in which it could have been tried, and not the time of a clock.

Every worker notes that it is alive, every few seconds. Time between two notes counts. A longer span does not:
no worker was there, or somebody set the clock. So a machine without a battery clock, a clock that is ahead
for a moment and a weekend without power make no mail too old.
"""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce

from mailrelay.models import SendLog, WorkingTime
from mailrelay.outbox.db import clock
from mailrelay.outbox.rules import clock_set_back

log = logging.getLogger(__name__)

#: A span between two notes beyond this does not count; a clock that is off by less was not set.
GAP = timedelta(seconds=60)
#: Spans that are kept: of more, the oldest become one.
MOST_GAPS = 500
#: Attempts are spread over a wait when they began at least this part of DELIVERY_MAX_AGE ago.
SPREAD = 4
_ROW = 1

Gaps = list[tuple[datetime, datetime]]


def note(now: datetime) -> None:
    """Note in the caller's transaction that a worker is alive, and that the clock says `now`."""
    rows = WorkingTime.objects.filter(pk=_ROW)
    if rows.filter(noted_at__gte=now - GAP, noted_at__lte=now + GAP).update(noted_at=now):
        return
    row = rows.select_for_update(no_key=True).first()
    if row is None:
        WorkingTime.objects.get_or_create(pk=_ROW, defaults={"noted_at": now})
        return
    if row.noted_at > now + GAP:
        clock_set_back.move_times(row.noted_at, now)
    elif row.noted_at < now - GAP:
        log.info("%s do not count as age: no worker was there, or the clock was set", now - row.noted_at)
    row.gaps = [[begin.timestamp(), end.timestamp()] for begin, end in _bounded(_gaps(row, now))]
    row.noted_at = now
    row.save(update_fields=["gaps", "noted_at"])


def ago(wait: timedelta, now: datetime | None = None) -> datetime:
    """Return the moment since which as much as `wait` has passed that counts."""
    now = now or clock.now()
    moment = now - wait
    for begin, end in reversed(_gaps(WorkingTime.objects.filter(pk=_ROW).first(), now)):
        if end > moment:
            moment -= end - begin
    return moment


def of(since: datetime, now: datetime | None = None) -> timedelta:
    """Return how much time that counts has passed since a moment."""
    now = now or clock.now()
    gaps = _gaps(WorkingTime.objects.filter(pk=_ROW).first(), now)
    lost = (end - max(begin, since) for begin, end in gaps if end > since)
    return max(timedelta(0), now - since - sum(lost, timedelta(0)))


def most() -> timedelta:
    """Return the age at which mail that could not be sent ends."""
    return timedelta(seconds=settings.DELIVERY_MAX_AGE)


def tried(now: datetime) -> Q:
    """Select deliveries whose wait saw attempts from early on: of their own, or of what they wait for.

    What waits behind a registration or a mailbox that fails is not tried itself: it is found out for all.
    """
    early = ago(most() / SPREAD, now)
    begun = Coalesce(OuterRef("released_at"), OuterRef("created_at"))
    own = SendLog.objects.filter(delivery=OuterRef("pk"), started_at__gte=begun, started_at__lte=early)
    failing = Q(mailbox__failures__gt=0, mailbox__succeeded_at__lte=early)
    return Q(Exists(own)) | failing | Q(mailbox__registration__failing_since__lte=early)


def _gaps(row: WorkingTime | None, now: datetime) -> Gaps:
    """List the spans before `now` that do not count, oldest first: nothing is known before the first note."""
    if row is None:
        return []
    moment = partial(datetime.fromtimestamp, tz=UTC)
    known = [(moment(begin), moment(end)) for begin, end in row.gaps]
    if now - row.noted_at > GAP:
        known.append((row.noted_at, now))
    return [(begin, min(end, now)) for begin, end in known if begin < now]


def _bounded(gaps: Gaps) -> Gaps:
    if len(gaps) <= MOST_GAPS:
        return gaps
    oldest = gaps[: len(gaps) - MOST_GAPS + 1]
    return [(oldest[0][0], oldest[-1][1]), *gaps[len(oldest) :]]
