"""Keeps the durable totals of each hour: noted once an hour and moved on at each sweep.

A row holds what the total had come to, not what was added, so that it can be written again, by any number of
processes, after any crash. What happens between a sweep and the end of its hour counts for the next hour:
fifteen seconds at most.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mailrelay.models import HourlyTotal
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.rules import age

#: The totals that are kept by the hour.
KEPT = (counters.ACCEPTED, counters.SENT, counters.FAILED, counters.DEFERRED)
HOUR = timedelta(hours=1)
#: How far back they are kept.
KEPT_FOR = timedelta(days=32)


def hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def keep() -> None:
    """Note where the totals stand in this hour; write nothing when nothing has changed."""
    hour = hour_of(clock.now())
    totals = counters.totals()
    noted = dict(HourlyTotal.objects.filter(hour=hour).values_list("name", "total"))
    rows = [HourlyTotal(hour=hour, name=name, total=totals[name]) for name in KEPT]
    changed = [row for row in rows if row.total > noted.get(row.name, -1)]
    if changed:
        write(Move.RETAIN, lambda: _note(changed, hour), durable=False)


def hourly(hours: int) -> Mapping[str, list[tuple[datetime, int]]]:
    """Return, by name, how many each of the last `hours` hours had, the present one last."""
    first = hour_of(clock.now()) - (hours - 1) * HOUR
    known = HourlyTotal.objects.filter(hour__gte=first, name__in=KEPT).values_list("name", "hour", "total")
    found = {(name, hour): total for name, hour, total in known}
    return {name: _differences(name, first, hours, found) for name in KEPT}


def _differences(
    name: str, first: datetime, hours: int, found: Mapping[tuple[str, datetime], int]
) -> list[tuple[datetime, int]]:
    """Turn totals into what each hour added; hours without a row, since nobody was there, added nothing."""
    before = _before(name, first)
    series = []
    for hour in (first + number * HOUR for number in range(hours)):
        total = found.get((name, hour), before)
        series.append((hour, max(0, total - before)))
        before = max(before, total)
    return series


def _before(name: str, first: datetime) -> int:
    """Return what the total had come to before `first`; where nothing was noted yet, it began at 0."""
    rows = HourlyTotal.objects.filter(name=name, hour__lt=first).order_by("-hour")
    return rows.values_list("total", flat=True).first() or 0


def _note(rows: list[HourlyTotal], hour: datetime) -> None:
    for row in rows:
        kept, made = HourlyTotal.objects.get_or_create(
            hour=hour, name=row.name, defaults={"total": row.total}
        )
        if not made and row.total > kept.total:
            HourlyTotal.objects.filter(pk=kept.pk, total__lt=row.total).update(total=row.total)
        _forget(row.name, age.ago(KEPT_FOR, hour))


def _forget(name: str, until: datetime) -> None:
    """Delete what is older than `until`, but for the newest of it: there begins what is kept."""
    old = HourlyTotal.objects.filter(name=name, hour__lt=until)
    newest = old.order_by("-hour").values_list("hour", flat=True).first()
    if newest is not None:
        old.filter(hour__lt=newest).delete()
