"""The first page: what waits, what went out, who sends, what expires, and what of the system is alive.

Nothing here counts what has been sent: history comes from the roll-ups, and what waits is counted on the
partial indexes of the queue, as far as COUNTED.
"""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, Count, Min
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils.safestring import SafeString

from mailrelay.console import cells
from mailrelay.console.charts import Series, stacked
from mailrelay.models import AppRegistration, Delivery, Mailbox, Message, SenderConfig
from mailrelay.models.messages import AGED_FROM, WAITS
from mailrelay.models.senders import SECRETS, secrets_of
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.keeping import hourly_totals
from mailrelay.outbox.rules import limits
from mailrelay.status import workers
from mailrelay.status.record import Status
from mailrelay.status.senders import of_sender
from mailrelay.status.words import name_of_credential, state_words
from mailrelay.vocabulary import State

#: The states that the page counts, in the order of what wants a person most.
WAITING = (State.HELD, State.UNCERTAIN, State.DEFERRED, State.QUEUED)
#: Messages that are counted at most for a number on the page.
COUNTED = 10_000
#: Senders that the page lists.
LISTED = 100
HOURS, DAYS = 24, 30
#: Days before the end of a secret at which it is shown as a warning, and as a fault.
SOON, PRESSING = 30, 14
#: Seconds for which a look at the broker counts, and that it may take.
BROKER_REMEMBERED, BROKER_BUDGET = 15.0, 1
_SERIES = ((counters.SENT, "sent", "good"), (counters.DEFERRED, "deferred", "waiting"))
_FAILED = (counters.FAILED, "failed", "bad")
#: What is in flight, with constants: without them SQLite does not use its index.
RUNS = RawSQL("mailrelay_delivery.state IN ('reserved', 'sending')", (), output_field=BooleanField())
_broker: tuple[float, bool] = (0.0, False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number with the list behind it."""

    title: str
    value: str
    tone: str
    link: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A few words with the page behind them."""

    text: str
    link: str


@dataclass(frozen=True, slots=True)
class SenderHealth:
    name: str
    link: str
    mailbox: Linked
    badge: SafeString
    why: Linked
    in_flight: Linked
    recipients: Linked
    last_success: SafeString
    success_link: str
    error: Linked


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the panel “System”: its name, a badge, and what is said of it."""

    name: str
    badge: SafeString
    text: str
    link: str = ""


def context() -> dict[str, Any]:
    """Gather what the page shows, in a number of queries that does not grow with what is on record."""
    now = clock.now()
    return {
        "numbers": _numbers(now),
        "charts": _charts(),
        "senders": _senders(now),
        "endings": _endings(now),
        "system": [*_workers(now), _broker_fact(), _database(), _spool()],
    }


def _messages(**filters: str) -> str:
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse("admin:mailrelay_message_changelist") + query


# --- Numbers and charts --------------------------------------------------------------------------------


def _numbers(now: datetime) -> list[Number]:
    waiting = [_waiting(state) for state in WAITING]
    oldest = Delivery.objects.filter(WAITS, state=State.QUEUED).aggregate(at=Min(AGED_FROM))["at"]
    age = (now - oldest).total_seconds() if oldest else 0
    tone = "bad" if age > 3600 else "waiting" if age > 300 else "quiet"
    failed = Message.objects.filter(state=State.FAILED, created_at__gte=now - timedelta(days=1))
    lost = _capped(failed.order_by()[: COUNTED + 1].count())
    return [
        *waiting,
        Number("Oldest due", cells.span(age) if oldest else "–", tone, _messages(state="queued")),
        Number(
            "Failed, of the last 24 h",
            lost,
            "quiet" if lost == "0" else "bad",
            _messages(state="failed", since="24h"),
        ),
    ]


def _waiting(state: State) -> Number:
    words = state_words(state)
    count = Message.objects.filter(state=state).order_by()[: COUNTED + 1].count()
    return Number(words.title, _capped(count), words.tone if count else "quiet", _messages(state=state.value))


def _capped(count: int) -> str:
    return f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"


def _charts() -> list[tuple[str, list[Series], SafeString]]:
    hourly = hourly_totals.hourly(DAYS * 24)
    day = [Series(title, tone, hourly[name][-HOURS:]) for name, title, tone in (*_SERIES, _FAILED)]
    month = [Series(title, tone, _daily(hourly[name])) for name, title, tone in (*_SERIES, _FAILED)]
    return [
        ("Last 24 hours", day, stacked("By the hour", day, "%d %b, %H:00 UTC")),
        ("Last 30 days", month, stacked("By the day", month, "%d %b")),
    ]


def _daily(points: Iterable[tuple[datetime, int]]) -> list[tuple[datetime, int]]:
    days: dict[datetime, int] = {}
    for at, value in points:
        day = at.replace(hour=0)
        days[day] = days.get(day, 0) + value
    # The first is a part of a day, unless it is the last hour of one.
    return list(days.items())[-DAYS:]


# --- Senders -------------------------------------------------------------------------------------------


def _senders(now: datetime) -> list[SenderHealth]:
    rows = SenderConfig.objects.filter(active=True).select_related("mailbox__registration").order_by("name")
    listed = list(rows.defer(*secrets_of("mailbox__registration"))[:LISTED])
    boxes = [row.mailbox_id for row in listed]
    counts = Delivery.objects.filter(RUNS, mailbox__in=boxes).order_by().values_list("mailbox")
    running = dict(counts.annotate(n=Count("pk")))
    return [_health(row, running.get(row.mailbox_id, 0), now) for row in listed]


def _health(row: SenderConfig, running: int, now: datetime) -> SenderHealth:
    box = row.mailbox
    status = of_sender(row, now)
    used = limits.recipients_today(box, now)
    page = reverse("admin:mailrelay_mailbox_change", args=[box.pk])
    work = reverse("admin:senderconfig_work", args=[row.pk])
    mine = str(row.pk)
    running_of = f"{running:,} of {box.concurrency:,}" if box.concurrency else f"{running:,}"
    recipients = f"{used:,} of {box.recipients_per_day:,}" if box.recipients_per_day else f"{used:,}"
    return SenderHealth(
        name=row.name,
        link=work,
        mailbox=Linked(box.address, page),
        badge=cells.badge(*_SENDER_BADGES[status.state]),
        why=Linked(_why(status, now), work if row.paused_at else page),
        in_flight=Linked(running_of, _messages(state=State.QUEUED.value, sender=mine)),
        recipients=Linked(recipients, f"{work}#limits"),
        last_success=cells.moment(box.succeeded_at, now),
        success_link=_messages(state=State.SENT.value, sender=mine) if box.succeeded_at else "",
        error=_error(box, page),
    )


#: A title and a tone for each word of `status.senders`.
_SENDER_BADGES = {
    "open": ("Open", "good"),
    "off": ("Off", "quiet"),
    "paused_by_hand": ("Paused", "waiting"),
    "registration_off": ("App registration off", "bad"),
    "no_token": ("No token", "bad"),
    "held": ("Held", "bad"),
    "paused": ("Mailbox paused", "waiting"),
}


def _why(status: Status, now: datetime) -> str:
    """Say why and until when; what is wrong with the mailbox has a column of its own."""
    until = f"{status.next_step.lower()} {cells.relative(status.next_at, now)}" if status.next_at else ""
    return status.reason if status.state == "paused_by_hand" else until


def _error(box: Mailbox, page: str) -> Linked:
    """Give the latest of what went wrong and was not fixed, with the page of what is at fault."""
    if box.registration.failing_text:
        address = reverse("admin:mailrelay_appregistration_change", args=[box.registration_id])
        return Linked(box.registration.failing_text, address)
    return Linked(box.blocked_text or (box.pause_text if box.failures else ""), page)


# --- What ends, and what is alive ----------------------------------------------------------------------


def _endings(now: datetime) -> list[Fact]:
    rows = AppRegistration.objects.filter(active=True).defer(*SECRETS)
    ends = [(end, row, proof) for row in rows for proof, end in row.endings_of_use().items()]
    return [
        Fact(
            row.name,
            _days_left((end - now).days),
            f"{name_of_credential(proof)}, until {end:%d %b %Y}",
            reverse("admin:mailrelay_appregistration_change", args=[row.pk]),
        )
        for end, row, proof in sorted(ends, key=lambda item: item[0])
    ]


def _days_left(days: int) -> SafeString:
    tone = "bad" if days < PRESSING else "waiting" if days < SOON else "good"
    return cells.badge("expired" if days < 0 else f"{days} days left", tone)


def _workers(now: datetime) -> Sequence[Fact]:
    count = workers.alive(now).count()
    link = reverse("admin:mailrelay_worker_changelist")
    if count:
        return [Fact("Workers", cells.badge(f"{count:,} alive", "good"), "", link)]
    return [Fact("Workers", cells.badge("none seen", "bad"), workers.NONE_ALIVE, link)]


def _broker_fact() -> Fact:
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        return Fact("Broker", cells.badge("in this process", "good"), "")
    if _broker_answers():
        return Fact("Broker", cells.badge("answers", "good"), "")
    text = "It cannot be reached: mail is accepted and waits. manage.py doctor says more."
    return Fact("Broker", cells.badge("not seen", "bad"), text)


def _broker_answers() -> bool:
    """Connect as publishing does, at most once in BROKER_REMEMBERED seconds."""
    global _broker  # noqa: PLW0603 - one look for every page of this process
    at, answered = _broker
    if at and time.monotonic() - at < BROKER_REMEMBERED:
        return answered
    with current_app.connection_for_write(connect_timeout=BROKER_BUDGET) as link:
        try:
            link.ensure_connection(max_retries=1, timeout=BROKER_BUDGET)
            answered = True
        except Exception:  # noqa: BLE001 - kombu and its transports raise what they like
            answered = False
    _broker = (time.monotonic(), answered)
    return answered


def _database() -> Fact:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    return Fact("Database", cells.badge("answers", "good"), name)


def _spool() -> Fact:
    usage = shutil.disk_usage(settings.DATA_DIR)
    free = usage.free / usage.total
    tone = "bad" if free < 0.05 else "waiting" if free < 0.15 else "good"
    return Fact("Disk", cells.badge(f"{free:.0%} free", tone), f"{usage.free / 2**30:,.1f} GiB in DATA_DIR")
