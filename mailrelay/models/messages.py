"""Messages, their recipients, their content, and deliveries, the units of work."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lower

from mailrelay.models.choices import choices
from mailrelay.models.clients import SmtpClient
from mailrelay.models.senders import Mailbox, SenderConfig
from mailrelay.vocabulary import IN_FLIGHT_STATES, Reason, Report, Route, State, Urgency

IN_FLIGHT = Q(state__in=list(IN_FLIGHT_STATES))
#: Bytes from which on messages are found by their size.
LARGE = 1024 * 1024


class Message(models.Model):
    """One accepted mail. Its id is the queue id that the client was told."""

    id = models.UUIDField(primary_key=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    client = models.ForeignKey(
        SmtpClient, on_delete=models.SET_NULL, null=True, related_name="messages", db_index=False
    )
    client_address = models.CharField(max_length=64)
    client_name = models.CharField(max_length=255, help_text="What the client called itself in EHLO")
    mail_from = models.CharField(max_length=320, blank=True)
    header_from = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=500, blank=True)
    #: As in the header, without angle brackets; what is sent when the header has none.
    message_id = models.CharField("Message-ID", max_length=998)
    #: Lower case, for the exact search.
    message_id_key = models.CharField(max_length=998, editable=False)
    from_key = models.CharField(max_length=320, editable=False)
    sender = models.ForeignKey(
        SenderConfig, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    size = models.PositiveBigIntegerField(help_text="Bytes as received")
    recipient_count = models.PositiveIntegerField()
    #: Derived from the deliveries; work in flight shows as queued here.
    state = models.CharField(max_length=12, choices=choices(State), default=State.QUEUED)
    state_at = models.DateTimeField()
    content_removed_at = models.DateTimeField(null=True)
    #: What the client wants of a report (RFC 3461): how much of the mail it quotes, and what it is called by.
    dsn_ret = models.CharField(max_length=4, blank=True, default="", db_default="", editable=False)
    dsn_envid = models.CharField(max_length=100, blank=True, default="", db_default="", editable=False)
    #: A mail of our own that reports on another; nothing is ever reported about a report.
    report = models.CharField(max_length=10, choices=choices(Report), default=Report.NONE, editable=False)
    #: The id of the message reported on; no foreign key, since either may outlive the other.
    report_of = models.UUIDField(null=True, editable=False)
    #: Of content and envelope, by which a repetition is known; empty where none is looked for.
    fingerprint = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    #: How often its client has sent it again and was given its queue id.
    repeats = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        permissions = (
            ("view_content", "Can read the content of messages"),
            ("operate_message", "Can requeue, hold, release and cancel messages"),
        )
        indexes = (
            models.Index(fields=["-created_at"], name="message_created"),
            models.Index(fields=["state", "-created_at"], name="message_state"),
            models.Index(fields=["message_id_key", "-created_at"], name="message_message_id"),
            models.Index(fields=["from_key", "-created_at"], name="message_from"),
            models.Index(fields=["sender", "-created_at"], name="message_sender"),
            models.Index(fields=["client_address", "-created_at"], name="message_client"),
            models.Index(fields=["client", "-created_at"], name="message_client_row"),
            models.Index(fields=["-created_at"], condition=Q(size__gte=LARGE), name="message_large"),
            models.Index(
                Lower("mail_from"),
                F("created_at").desc(),
                condition=~Q(mail_from=F("header_from")),
                name="message_mail_from",
            ),
            models.Index(
                fields=["state", "state_at"],
                condition=Q(content_removed_at__isnull=True),
                name="message_content_age",
            ),
            models.Index(
                fields=["report_of"], condition=Q(report_of__isnull=False), name="message_report_of"
            ),
        )

    def __str__(self) -> str:
        return self.queue_id

    @property
    def queue_id(self) -> str:
        return self.id.hex


class ContentChunk(models.Model):
    """A piece of a message's bytes, so that any worker on any host can stream it."""

    #: The message's id; no foreign key, since chunks of a large mail are committed ahead of its row.
    content = models.UUIDField()
    number = models.PositiveIntegerField()
    data = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["content", "number"], name="chunk_of_content"),)

    def __str__(self) -> str:
        return f"{self.content.hex}/{self.number}"


class Delivery(models.Model):
    """A message and a subset of its recipients through one mailbox: the unit of work."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries")
    sender = models.ForeignKey(SenderConfig, on_delete=models.PROTECT, related_name="deliveries")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    #: Whose mail it is while `sender` stands in for that one.
    lent_by = models.ForeignKey(
        SenderConfig, on_delete=models.PROTECT, null=True, editable=False, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=choices(State), default=State.QUEUED)
    reason = models.CharField(max_length=40, choices=choices(Reason), default=Reason.NONE, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the message as received")
    recipient_count = models.PositiveIntegerField(default=1)
    #: Large mail has workers' room of its own.
    route = models.CharField(max_length=10, choices=choices(Route), default=Route.MIME)
    urgency = models.PositiveSmallIntegerField(default=Urgency.NORMAL)
    client_key = models.CharField(max_length=200)
    next_attempt_at = models.DateTimeField(null=True)
    #: When a person or a fixed configuration last set it free: its age counts from there.
    released_at = models.DateTimeField(null=True, editable=False)
    #: Failures that are the message's own fault; they alone lengthen its wait.
    attempts = models.PositiveIntegerField(default=0)
    #: Leases begun without a settled attempt: what three crashed workers leave behind.
    crashes = models.PositiveIntegerField(default=0)
    #: Times that it was reserved; the number in the task id.
    claims = models.PositiveIntegerField(default=0)
    #: Its number among the parts of a split message, from 1; 0 when it began as the whole.
    part = models.PositiveIntegerField(default=0, editable=False)
    #: Requests that may have been a second copy.
    copies = models.PositiveIntegerField(default=0)
    #: Whether a person lets it be sent though it may have been sent before: holds for one attempt.
    copy_allowed = models.BooleanField(default=False, db_default=False, editable=False)
    #: What it is sent under where another mail has the Message-ID of its message; without angle brackets.
    own_message_id = models.CharField(max_length=400, blank=True, default="", db_default="", editable=False)
    #: Fences the reservation and the lease: only its holder moves the row.
    token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=200, default="", blank=True)
    last_error = models.TextField(default="", blank=True)
    #: When the end of a failed delivery was told, or found to be nobody's to be told; it is told once.
    bounced_at = models.DateTimeField(null=True, editable=False)
    delay_warned_at = models.DateTimeField(null=True, editable=False)
    #: When the webhook may next be told; who moves it on tells.
    notice_due_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(
                fields=["mailbox", "route", "urgency", "client_key", "id"],
                condition=Q(state=State.QUEUED),
                name="delivery_claim",
            ),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=[State.DEFERRED, State.UNCERTAIN]),
                name="delivery_due",
            ),
            models.Index(fields=["leased_until"], condition=IN_FLIGHT, name="delivery_lease"),
            models.Index(fields=["mailbox"], condition=IN_FLIGHT, name="delivery_in_flight"),
            models.Index(
                fields=["mailbox", "reason", "id"], condition=Q(state=State.HELD), name="delivery_held"
            ),
            models.Index(
                Coalesce("released_at", "created_at"),
                condition=Q(state__in=[State.QUEUED, State.DEFERRED]),
                name="delivery_age",
            ),
            models.Index(
                fields=["id"],
                condition=Q(state=State.FAILED, bounced_at__isnull=True),
                name="delivery_unreported",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(state=State.HELD, delay_warned_at__isnull=True),
                name="delivery_held_unwarned",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(state=State.UNCERTAIN, delay_warned_at__isnull=True),
                name="delivery_maybe_unwarned",
            ),
            models.Index(
                fields=["id"],
                condition=Q(lent_by__isnull=False, state__in=[State.QUEUED, State.DEFERRED, State.HELD]),
                name="delivery_lent",
            ),
        )

    def __str__(self) -> str:
        return f"{self.message_id.hex}/{self.pk}"

    @property
    def sent_under(self) -> str:
        """Its Message-ID as Exchange gets it, without angle brackets."""
        return self.own_message_id or self.message.message_id

    @property
    def aged_from(self) -> datetime:
        """When its age begins: `AGED_FROM` as a value."""
        return self.released_at or self.created_at


#: What waits to be sent, with constants: without them SQLite does not use the index of its age.
WAITS = RawSQL("mailrelay_delivery.state IN ('queued', 'deferred')", (), output_field=models.BooleanField())
#: Likewise what waits for a person, and what Graph may have sent already.
HELD = RawSQL("mailrelay_delivery.state = 'held'", (), output_field=models.BooleanField())
MAYBE_SENT = RawSQL("mailrelay_delivery.state = 'uncertain'", (), output_field=models.BooleanField())
#: When the age of a delivery begins: at its acceptance, or when it was set free after that.
AGED_FROM = Coalesce("released_at", "created_at")


def task_id(message_id: UUID, part: int, number: int) -> str:
    """Name the Celery task of a delivery's claim `number`; Flower finds it by the queue id.

    `<message id>.<number>`, and of a split message `<message id>.<part>.<number>`.
    """
    return f"{message_id.hex}.{part}.{number}" if part else f"{message_id.hex}.{number}"


class Recipient(models.Model):
    """One RCPT TO of a message; how it fares is how its delivery fares."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="recipients")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="recipients", null=True)
    address = models.CharField(max_length=320)
    #: Lower case, for the exact search.
    address_key = models.CharField(max_length=320, editable=False)
    #: Which reports the client wants (RFC 3461), and whom it named as the recipient that this one stands for.
    dsn_notify = models.CharField(max_length=24, blank=True, default="", db_default="", editable=False)
    dsn_orcpt = models.CharField(max_length=500, blank=True, default="", db_default="", editable=False)

    class Meta:
        # With the message, whose id tells its age: the newest of an address that gets everything are at hand.
        indexes = (models.Index(fields=["address_key", "-message"], name="recipient_address"),)

    def __str__(self) -> str:
        return self.address

    @property
    def named_as(self) -> str:
        """What the client called it, where that was an alias or an address before this one; else empty."""
        return named_as(self.dsn_orcpt, self.address)


def named_as(original: str, address: str) -> str:
    """Read from a recipient's `dsn_orcpt` what it was called; empty where that is its own address."""
    name = original.partition(";")[2]
    return "" if name.lower() == address.lower() else name
