"""Finds what needs attention now, by a few indexed queries."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from mailrelay.health import figures
from mailrelay.health.figures import Figures
from mailrelay.models import Delivery, SenderConfig
from mailrelay.models.messages import AGED_FROM
from mailrelay.outbox.db import counters
from mailrelay.outbox.keeping import hourly_totals
from mailrelay.status import workers
from mailrelay.vocabulary import Condition, Reason, State

#: Days before the end of a secret at which it is told about again.
STAGES = (30, 14, 3, 1)
DAY = 86_400.0
#: Failed mails of an hour below which a rate means nothing.
FEWEST_FAILURES = 10
#: Senders that are told about one by one.
MOST_SENDERS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is the matter. `key` is the same as long as it is the same thing."""

    key: str
    condition: Condition
    subject: str
    text: str
    level: int = 1
    #: Senders that should not carry the news.
    senders: frozenset[int] = field(default=frozenset())


def look(now: datetime) -> list[Finding]:
    """Find all that is the matter. Raises django.db.DatabaseError."""
    seen = figures.gather()
    return [
        *_backlog(seen),
        *_failures(),
        *_held(),
        *_expiry(seen, now),
        *_no_worker(seen),
    ]


def _backlog(seen: Figures) -> Iterator[Finding]:
    limit, age = settings.ALERT_BACKLOG_SECONDS, seen.oldest_queued_age
    if not limit or age < limit:
        return
    waiting = Delivery.objects.filter(state=State.QUEUED).order_by(AGED_FROM)
    oldest = waiting.values_list("sender_id", "sender__name").first()
    who = f" Its sender is {oldest[1]}." if oldest else ""
    yield Finding(
        "backlog",
        Condition.BACKLOG,
        "Mail is waiting too long",
        f"The oldest mail that is due has waited for more than {limit // 60} minutes, and "
        f"{seen.depth[State.QUEUED]} are queued.{who} The overview says what holds it up.",
        senders=frozenset({oldest[0]} if oldest else ()),
    )


def _failures() -> Iterator[Finding]:
    """Look at this hour and the one before, so that the turn of an hour ends nothing."""
    percent = settings.ALERT_FAILURE_PERCENT
    totals = hourly_totals.hourly(2)
    sent, failed = (sum(count for _, count in totals[name]) for name in (counters.SENT, counters.FAILED))
    if percent and failed >= FEWEST_FAILURES and failed * 100 >= percent * (sent + failed):
        yield Finding(
            "failures",
            Condition.FAILURES,
            "Much mail fails",
            f"Of the mail of this hour and the one before, {failed} failed for good and {sent} were sent. "
            "The list of failed messages has the reasons.",
        )


def _held() -> Iterator[Finding]:
    box, app = "mailbox", "mailbox__registration"
    standing = ~Q(mailbox__blocked=Reason.NONE) | ~Q(mailbox__registration__failing=Reason.NONE)
    columns = ("pk", "name", f"{box}__blocked_text", f"{app}__failing_text")
    rows = SenderConfig.objects.filter(standing, active=True, mailbox__registration__active=True)
    for pk, name, blocked, failing in rows.order_by("pk").values_list(*columns)[:MOST_SENDERS]:
        yield Finding(
            f"held:{pk}",
            Condition.HELD,
            f"Sender {name} stands still",
            f"{failing or blocked} Its mail is accepted and held, and goes on by itself once this is fixed.",
            senders=frozenset({pk}),
        )


def _expiry(seen: Figures, now: datetime) -> Iterator[Finding]:
    for (app, proof), seconds in seen.credential_expiry.items():
        level = sum(seconds <= days * DAY for days in STAGES) + (seconds <= 0)
        if not level:
            continue
        what = proof.replace("_", " ")
        days = max(0, int(seconds // DAY))
        when = "has ended" if seconds <= 0 else f"ends in {days} day{'' if days == 1 else 's'}"
        end = datetime.fromtimestamp(now.timestamp() + seconds, now.tzinfo)
        # Renewed, it is another thing that has not been told about.
        senders = SenderConfig.objects.filter(mailbox__registration__name=app).values_list("pk", flat=True)
        yield Finding(
            f"expiry:{proof}:{end:%Y-%m-%d}:{app}"[:200],
            Condition.EXPIRY,
            f"The {what} of {app} {when}",
            f"The {what} of the app registration {app} is good until {end:%d %B %Y}. Make a new one in Entra "
            "ID and enter it beside the old one in the admin; mail stands still without.",
            level,
            frozenset(senders),
        )


def _no_worker(seen: Figures) -> Iterator[Finding]:
    if not seen.workers and SenderConfig.objects.filter(active=True).exists():
        yield Finding(
            "no-worker",
            Condition.NO_WORKER,
            "Nobody delivers",
            workers.NONE_ALIVE,
        )
