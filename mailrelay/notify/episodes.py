"""Follows findings over time: an episode begins, gets worse, and ends when it has stayed away for a while.

A matter that comes and goes within QUIET is one episode; one that comes back within PERIOD of a notice about
is not told about again before that has passed. So nobody hears of the same thing more than once in a PERIOD.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrelay.models import Alert, AlertChannel, AlertTold
from mailrelay.notify.conditions import Finding
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.vocabulary import Condition

#: How long a matter has to stay away to be over.
QUIET = timedelta(minutes=5)
#: How long a row may say less than that it was seen just now.
SEEN = timedelta(seconds=30)
#: How long the same matter is not told about again, unless it gets worse.
PERIOD = timedelta(hours=1)
#: How often a matter that stays is told about again.
REMINDER = timedelta(days=1)
#: How long one lasts before it is told about: a restart is no news.
PATIENCE = {Condition.NO_WORKER: timedelta(minutes=1), Condition.HELD: timedelta(seconds=30)}
#: How long the record of what is over is kept.
KEPT_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class EpisodeChange:
    """What a channel is told about an alert: that it is there, is worse, is still there, or is over."""

    alert: Alert
    what: str


NEW, WORSE, STILL, OVER = "new", "worse", "still", "over"


def enter(findings: Sequence[Finding], now: datetime) -> None:
    """Put on record what is the matter now. Writes nothing when nothing is, and nothing was."""
    known = {row.key: row for row in Alert.objects.filter(key__in=[one.key for one in findings])}
    gone = Alert.objects.filter(ended_at__isnull=True, seen_at__lte=now - QUIET).exclude(key__in=list(known))
    old = Alert.objects.filter(ended_at__lt=now - KEPT_FOR)
    if not findings and not gone.exists() and not old.exists():
        return

    def run() -> None:
        for one in findings:
            _enter(one, known.get(one.key), now)
        gone.update(ended_at=now)
        old.delete()

    write(Move.REPORT, run, durable=False)


def _enter(one: Finding, row: Alert | None, now: datetime) -> None:
    columns = {"subject": one.subject[:300], "text": one.text, "level": one.level, "seen_at": now}
    if row is None:
        Alert.objects.create(key=one.key, condition=one.condition, began_at=now, **columns)
    elif row.ended_at is not None:
        Alert.objects.filter(pk=row.pk).update(**columns, began_at=now, ended_at=None)
    elif now - row.seen_at >= SEEN or (row.text, row.level) != (one.text, one.level):
        Alert.objects.filter(pk=row.pk).update(**columns)


def changes(channel: AlertChannel, now: datetime) -> list[EpisodeChange]:
    """List what `channel` is to be told now."""
    told = {row.alert_id: row for row in channel.told.all()}
    wanted = Alert.objects.filter(condition__in=channel.conditions.split()).order_by(
        "-level", "began_at", "pk"
    )
    found = ((row, _what(row, told.get(row.pk), now)) for row in wanted)
    return [EpisodeChange(row, what) for row, what in found if what]


def _what(row: Alert, told: AlertTold | None, now: datetime) -> str:
    if row.ended_at is not None:
        return OVER if told is not None and not told.over else ""
    if row.seen_at - row.began_at < PATIENCE.get(Condition(row.condition), timedelta(0)):
        return ""
    if told is None:
        return NEW
    if told.over:
        return NEW if now - told.at >= PERIOD or row.level > told.level else ""
    if row.level > told.level:
        return WORSE
    return STILL if now - told.at >= REMINDER else ""


def note(channel: AlertChannel, told: Sequence[EpisodeChange], now: datetime) -> None:
    """Put on record that `channel` was told; in the caller's transaction."""
    for one in told:
        over = one.what == OVER
        start = {"level": one.alert.level, "over": over, "at": now}
        row, made = AlertTold.objects.get_or_create(channel=channel, alert=one.alert, defaults=start)
        if not made:
            # The end of an episode does not move the time from which its return is held back.
            at = row.at if over else now
            AlertTold.objects.filter(pk=row.pk).update(level=one.alert.level, over=over, at=at)
    later = now + timedelta(minutes=channel.digest_minutes)
    told_now = AlertChannel.objects.filter(pk=channel.pk)
    told_now.update(next_at=later, told_at=now, failures=0, last_error="")
