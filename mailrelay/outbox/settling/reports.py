"""Reports of mail that ends badly: found, and put on record in one transaction with the mail that reports.

Each delivery that failed is reported once, and each that waits too long once as well: the mark on its row
and the report's own rows commit together, so that a kill loses neither and doubles neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from mailrelay.models import (
    ContentChunk,
    Delivery,
    Mailbox,
    Message,
    Recipient,
    SenderConfig,
)
from mailrelay.models.messages import AGED_FROM, HELD, MAYBE_SENT, WAITS
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import able_senders
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.rules import age
from mailrelay.outbox.submission import new_queue_id
from mailrelay.vocabulary import Reason, Report, State

#: Messages that one look deals with.
BATCH = 50
#: How long a failed part of a message waits for its other parts, so that one report tells about all.
PATIENCE = timedelta(hours=4)
#: How long a process that tells the webhook has it to itself, and the pause between two tries.
NOTICE_PAUSE = timedelta(seconds=60)
#: What fairness between clients goes by.
CLIENT_KEY = "reports"
MOVING = (State.QUEUED, State.RESERVED, State.SENDING, State.DEFERRED, State.UNCERTAIN)
MARKS = {Report.FAILURE: "bounced_at", Report.DELAY: "delay_warned_at"}


@dataclass(frozen=True, slots=True)
class OwnMail:
    """A report as a mail: through whose mailbox, to whom, and its bytes."""

    about: UUID | None
    kind: Report
    to: str
    sender_id: int
    mailbox_id: int
    mailbox_address: str
    subject: str
    hostname: str
    content: bytes = b""
    id: UUID = field(default_factory=new_queue_id)

    @property
    def message_id(self) -> str:
        """Its Message-ID, without angle brackets."""
        return f"{self.id.hex}@{self.hostname}"

    def with_content(self, content: bytes) -> "OwnMail":
        return replace(self, content=content)


class _TakenError(Exception):
    """Another process has marked some of it meanwhile: nothing is done here."""


def failed() -> list[Delivery]:
    """List deliveries whose failure nobody was told about yet, of messages of which nothing else moves."""
    now = clock.now()
    moving = Delivery.objects.filter(message=OuterRef("message"), state__in=MOVING)
    over = Delivery.objects.filter(state=State.FAILED, bounced_at__isnull=True)
    ripe = over.filter(~Exists(moving) | Q(created_at__lt=age.ago(PATIENCE, now)))
    return list(_with_all(_due(ripe, now).order_by("pk"))[:BATCH])


def waiting(since: datetime | None) -> list[Delivery]:
    """List deliveries that have waited for longer than DELAY_WARNING_SECONDS.

    Those that wait to be tried come first, if they were accepted after `since`; then those of which it is not
    known whether they were sent, and those that are held.
    """
    now = clock.now()
    oldest = age.ago(timedelta(seconds=settings.DELAY_WARNING_SECONDS), now)
    waiting = Delivery.objects.filter(WAITS, delay_warned_at__isnull=True)
    queued = waiting.alias(aged_since=AGED_FROM).filter(aged_since__lte=oldest).order_by("aged_since")
    if since is not None:
        queued = queued.filter(aged_since__gte=since)
    for rows in (queued, *(_standing(state, oldest) for state in (MAYBE_SENT, HELD))):
        if found := [*_with_all(_due(rows, now))[:BATCH]]:
            return found
    return []


def _standing(state: RawSQL, oldest: datetime) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(state, delay_warned_at__isnull=True)
    return rows.filter(created_at__lte=oldest).order_by("created_at")


def _due(rows: QuerySet[Delivery], now: datetime) -> QuerySet[Delivery]:
    return rows.filter(Q(notice_due_at__isnull=True) | Q(notice_due_at__lte=now))


def _with_all(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    # The credential's columns are nobody's business here, and may be under a key that is gone.
    return rows.select_related("message", "sender", "mailbox__registration").only(
        *("pk", "state", "reason", "last_error", "created_at", "released_at", "next_attempt_at"),
        *("sender", "message"),
        *("message__" + name for name in _MESSAGE),
        *("sender__name", "sender__bounce_policy", "sender__active"),
        *("mailbox__address", "mailbox__registration__tenant_id"),
    )


_MESSAGE = (
    "created_at",
    "mail_from",
    "header_from",
    "subject",
    "message_id",
    "content_removed_at",
    "report",
    "size",
    "dsn_ret",
    "dsn_envid",
)


def post(own_mail: OwnMail, deliveries: Sequence[int], text: str) -> bool:
    """Queue `own_mail` and mark `deliveries` as told about; False when another process was first."""

    def run() -> None:
        _mark(own_mail.kind, deliveries, text, clock.now())
        _queue(own_mail)

    return _once(run)


def send(own_mail: OwnMail, noted: Callable[[], None]) -> None:
    """Queue `own_mail` and run `noted`, which puts on record that it was told, in one transaction."""

    def run() -> None:
        noted()
        _queue(own_mail)

    write(Move.REPORT, run)


def _queue(own_mail: OwnMail) -> None:
    now = clock.now()
    Message.objects.create(**_columns(own_mail, now))
    ContentChunk.objects.create(content=own_mail.id, number=0, data=own_mail.content, created_at=now)
    delivery = Delivery.objects.create(
        message_id=own_mail.id,
        sender_id=own_mail.sender_id,
        mailbox_id=own_mail.mailbox_id,
        created_at=now,
        size=len(own_mail.content),
        client_key=CLIENT_KEY,
    )
    Recipient.objects.create(
        message_id=own_mail.id, delivery=delivery, address=own_mail.to, address_key=own_mail.to.lower()
    )
    asleep = Mailbox.objects.filter(pk=own_mail.mailbox_id, wake_at__isnull=True)
    asleep.filter(registration__failing=Reason.NONE).update(wake_at=now)


def _columns(own_mail: OwnMail, now: datetime) -> dict[str, object]:
    return {
        "id": own_mail.id,
        "created_at": now,
        "client_address": "gateway",
        "client_name": own_mail.hostname[:255],
        "mail_from": "",
        "header_from": own_mail.mailbox_address,
        "from_key": own_mail.mailbox_address.lower(),
        "subject": own_mail.subject[:500],
        "message_id": own_mail.message_id,
        "message_id_key": own_mail.message_id.lower(),
        "sender_id": own_mail.sender_id,
        "size": len(own_mail.content),
        "recipient_count": 1,
        "state": State.QUEUED,
        "state_at": now,
        "report": own_mail.kind,
        "report_of": own_mail.about,
    }


def close(kind: Report, deliveries: Sequence[int], text: str) -> bool:
    """Mark `deliveries` as told about without a mail; `text` goes on the timeline unless it is empty."""
    return _once(lambda: _mark(kind, deliveries, text, clock.now()))


def reserve(deliveries: Sequence[int]) -> bool:
    """Take the telling of `deliveries` for NOTICE_PAUSE, for the process that sees this first."""

    def run() -> None:
        now = clock.now()
        rows = _due(Delivery.objects.filter(pk__in=deliveries), now)
        if rows.update(notice_due_at=now + NOTICE_PAUSE) != len(deliveries):
            raise _TakenError

    return _once(run)


def _once(run: Callable[[], None]) -> bool:
    try:
        write(Move.REPORT, run)
    except _TakenError:
        return False
    return True


def _mark(kind: Report, deliveries: Sequence[int], text: str, now: datetime) -> None:
    """Mark all of `deliveries`, or raise _TakenError."""
    rows = Delivery.objects.filter(pk__in=deliveries, **{f"{MARKS[kind]}__isnull": True})
    if kind == Report.FAILURE:
        rows = rows.filter(state=State.FAILED)
    if rows.update(**{MARKS[kind]: now, "notice_due_at": None}) != len(deliveries):
        raise _TakenError
    if text:
        for delivery in Delivery.objects.filter(pk__in=deliveries):
            message_state.note(delivery, text, now)


def warned_lately(address: str) -> int:
    """Count the warnings of delays that were made for `address` within an hour."""
    lately = clock.now() - timedelta(hours=1)
    mine = Message.objects.filter(recipients__address_key=address.lower(), created_at__gte=lately)
    return mine.filter(report=Report.DELAY).count()


def ways(sender_id: int, tenant_id: str) -> list[SenderConfig]:
    """List senders of a tenant that could carry a report: the mail's own before others, the working first.

    Another tenant's mailbox is never used: a report quotes the header of the mail.
    """
    senders = able_senders.in_use().filter(mailbox__registration__tenant_id=tenant_id)
    able = senders.filter(able_senders.can_send(clock.now()))
    return [
        *able.filter(pk=sender_id),
        *able.exclude(pk=sender_id)[:1],
        *senders.filter(pk=sender_id),
        *senders[:1],
    ]


def works(sender: SenderConfig) -> bool:
    """Whether mail through the sender's mailbox is neither held nor paused at this moment."""
    return able_senders.in_use().filter(able_senders.can_send(clock.now()), pk=sender.pk).exists()
