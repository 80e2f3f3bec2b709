"""App registrations, mailboxes and senders."""

from datetime import UTC, datetime, time
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from mailrelay.address_forms import normalise
from mailrelay.clouds import ENDPOINTS
from mailrelay.models.choices import choices
from mailrelay.models.encrypted import EncryptedTextField
from mailrelay.vocabulary import (
    BouncePolicy,
    Cloud,
    CredentialKind,
    FromPolicy,
    Invitations,
    LargeMail,
    LargeText,
    ManagedBy,
    Reason,
    SentItems,
    UncertainPolicy,
)

#: The columns of a registration that are encrypted: only what asks for a token reads them.
SECRETS = (
    "secret",
    "next_secret",
    "certificate",
    "certificate_password",
    "next_certificate",
    "next_certificate_password",
)


def secrets_of(relation: str) -> tuple[str, ...]:
    """Name the SECRETS of the registration that `relation` leads to, for `defer`."""
    return tuple(f"{relation}__{column}" for column in SECRETS)


class AppRegistration(models.Model):
    """An Entra ID application: how tokens are had, and how that is going."""

    name = models.CharField(max_length=200, unique=True)
    tenant_id = models.CharField("tenant id", max_length=200)
    client_id = models.CharField("client id", max_length=200)
    cloud = models.CharField(
        max_length=20,
        choices=choices(Cloud),
        default=Cloud.CUSTOM,
        blank=True,
        help_text="Sets the two addresses below; empty leaves them as they are entered",
    )
    authority_host = models.URLField(default="https://login.microsoftonline.com")
    graph_endpoint = models.URLField(default="https://graph.microsoft.com")
    kind = models.CharField(
        "credential", max_length=20, choices=choices(CredentialKind), default=CredentialKind.SECRET
    )
    secret = EncryptedTextField("client secret", blank=True, default="")
    secret_expires_on = models.DateField(
        "client secret ends on", null=True, blank=True, help_text="As Entra shows it; warned of before"
    )
    #: While one secret is being replaced by another, both may be kept: the newer is tried first.
    next_secret = EncryptedTextField("next client secret", blank=True, default="")
    next_secret_expires_on = models.DateField("next client secret ends on", null=True, blank=True)
    #: Likewise a certificate that is to replace what `kind` says: at most one of the two is newer.
    next_certificate = EncryptedTextField(blank=True, default="", db_default="")
    next_certificate_password = EncryptedTextField(blank=True, default="", db_default="")
    next_certificate_expires_at = models.DateTimeField(null=True, editable=False)
    #: Which of the two got the last token: the name of its column.
    secret_in_use = models.CharField(max_length=20, blank=True, default="", editable=False)
    #: Private key and certificate(s) as PEM; kept here instead of in a file.
    certificate = EncryptedTextField("certificate and key (PEM)", blank=True, default="")
    certificate_expires_at = models.DateTimeField(null=True, editable=False)
    certificate_path = models.CharField(max_length=500, blank=True, default="")
    certificate_password = EncryptedTextField(blank=True, default="")
    token_file = models.CharField(max_length=500, blank=True, default="")
    concurrency = models.PositiveIntegerField(
        default=0, help_text="Requests in flight over all its mailboxes; 0 is no limit"
    )
    active = models.BooleanField(default=True)
    managed_by = models.CharField(max_length=20, choices=choices(ManagedBy), default=ManagedBy.ADMIN)
    #: Part of the credential's identity: a changed secret is a new version, and asks for a new token.
    version = models.PositiveIntegerField(default=1, editable=False)

    # How it is going: a failing registration stops all its mailboxes, and is probed at `retry_at`.
    failing = models.CharField(
        max_length=40, choices=choices(Reason), default=Reason.NONE, blank=True, editable=False
    )
    failing_text = models.TextField(default="", blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    retry_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    token_expires_at = models.DateTimeField(null=True, editable=False)
    token_succeeded_at = models.DateTimeField(null=True, editable=False)
    token_failed_at = models.DateTimeField(null=True, editable=False)
    token_refused = models.BooleanField(default=False, editable=False)
    token_error = models.TextField(default="", blank=True, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["managed_by"], condition=Q(managed_by="environment"), name="one_app_of_environment"
            ),
        )
        indexes = (models.Index(fields=["retry_at"], condition=~Q(failing=""), name="app_retry"),)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Let the cloud decide the addresses before the row is written."""
        preset = ENDPOINTS.get(Cloud(self.cloud))
        if preset is not None:
            self.authority_host, self.graph_endpoint = preset
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "authority_host", "graph_endpoint"}
        super().save(*args, **kwargs)

    def endings(self) -> dict[str, datetime]:
        """When what it proves itself with ends, as far as that is known, by the name of the column."""
        days = {"secret": self.secret_expires_on, "next_secret": self.next_secret_expires_on}
        known = {name: datetime.combine(day, time.min, UTC) for name, day in days.items() if day}
        if self.kind != CredentialKind.SECRET:
            known.pop("secret", None)
        if self.kind == CredentialKind.CERTIFICATE and self.certificate_expires_at:
            known["certificate"] = self.certificate_expires_at
        if self.next_certificate_expires_at:
            known["next_certificate"] = self.next_certificate_expires_at
        return known

    def endings_of_use(self) -> dict[str, datetime]:
        """`endings` without those of what is kept beside its successor, while mail goes by that."""
        replaced = self.secret_in_use.startswith("next_")
        return {name: end for name, end in self.endings().items() if name.startswith("next_") or not replaced}


class Mailbox(models.Model):
    """What Microsoft limits: one mailbox through one app registration, and its present use."""

    registration = models.ForeignKey(AppRegistration, on_delete=models.PROTECT, related_name="mailboxes")
    #: Canonical: lower case.
    address = models.CharField(max_length=320)
    user_id = models.CharField(
        max_length=320,
        blank=True,
        default="",
        help_text="Object id or user principal name for the URL, when the address is not it",
    )
    concurrency = models.PositiveIntegerField(default=4, help_text="Requests in flight; 0 is no limit")
    messages_per_minute = models.PositiveIntegerField(default=30, help_text="As a bucket; 0 is no limit")
    requests_per_10_minutes = models.PositiveIntegerField(default=10_000, help_text="0 is no limit")
    upload_bytes_per_5_minutes = models.PositiveBigIntegerField(
        default=150_000_000, help_text="Bytes as sent, base64 included; 0 is no limit"
    )
    recipients_per_day = models.PositiveIntegerField(default=10_000, help_text="Over 24 hours; 0 is no limit")
    recipients_per_message = models.PositiveIntegerField(
        default=500, help_text="More are split over several messages", validators=[MinValueValidator(1)]
    )

    max_message_size = models.PositiveBigIntegerField(
        default=36_700_160, help_text="Bytes that Exchange lets a message of this mailbox have"
    )
    direct_limit = models.PositiveBigIntegerField(
        default=3_145_728,
        help_text="Bytes that Graph takes in one request; lowered when it refuses less, "
        "larger mail takes the large route",
    )
    #: When `direct_limit` was last lowered by what Graph said; null: it is as it was set.
    direct_limit_learned_at = models.DateTimeField(null=True, editable=False)
    #: Whether the registration may write drafts here (Mail.ReadWrite), and read; null is not known.
    can_draft = models.BooleanField(null=True, editable=False)
    can_read = models.BooleanField(null=True, editable=False)
    access_checked_at = models.DateTimeField(null=True, editable=False)

    tokens = models.FloatField(default=0.0, editable=False)
    tokens_at = models.DateTimeField(null=True, editable=False)
    #: What the sliding limits have seen: [start of a bucket in unix seconds, amount] each.
    request_window = models.JSONField(default=list, editable=False)
    upload_window = models.JSONField(default=list, editable=False)
    recipient_window = models.JSONField(default=list, editable=False)
    #: When slots whose request we gave up on may be used again, unix seconds: Graph may still be at it.
    cooling = models.JSONField(default=list, editable=False)
    #: The client that was served last: the next in order is served next.
    served_client = models.CharField(max_length=200, default="", blank=True, editable=False)
    #: When a claim could next succeed; null when nothing waits here, or when the registration is failing.
    wake_at = models.DateTimeField(null=True, editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)
    pause_text = models.TextField(default="", blank=True, editable=False)
    #: A configuration fault of the mailbox: its mail is held, one is tried as a probe at `probe_at`.
    blocked = models.CharField(
        max_length=40, choices=choices(Reason), default=Reason.NONE, blank=True, editable=False
    )
    blocked_text = models.TextField(default="", blank=True, editable=False)
    blocked_since = models.DateTimeField(null=True, editable=False)
    probe_at = models.DateTimeField(null=True, editable=False)
    #: Consecutive pauses without a success in between.
    failures = models.PositiveIntegerField(default=0, editable=False)
    succeeded_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "mailboxes"
        constraints = (
            models.UniqueConstraint(fields=["registration", "address"], name="mailbox_of_registration"),
        )
        indexes = (
            models.Index(fields=["wake_at"], condition=Q(wake_at__isnull=False), name="mailbox_wake"),
            models.Index(fields=["blocked"], condition=~Q(blocked=""), name="mailbox_blocked"),
        )

    def __str__(self) -> str:
        return self.address

    @property
    def graph_user(self) -> str:
        """What stands in `/users/{…}/sendMail`."""
        return self.user_id or self.address


class SenderConfig(models.Model):
    """Whose mail goes where: the From addresses and domains served, and through which mailbox."""

    name = models.CharField(max_length=200, unique=True)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="senders")
    addresses = models.TextField(
        blank=True, default="", help_text="From addresses that choose this sender, one a line"
    )
    domains = models.TextField(
        blank=True, default="", help_text="From domains that choose this sender, one a line"
    )
    is_default = models.BooleanField(
        "default", default=False, help_text="Takes mail whose From no sender names"
    )
    from_policy = models.CharField(max_length=20, choices=choices(FromPolicy), default=FromPolicy.REWRITE)
    rewrite_signed = models.BooleanField(
        default=False, help_text="Rewrite From even where that breaks a signature"
    )
    headers_rule = models.BooleanField(
        "recipients from the header",
        default=False,
        db_default=False,
        help_text="Mail goes to whom To, Cc and Bcc name, whatever RCPT TO said; to RCPT TO where they name "
        "nobody",
    )
    uncertain_policy = models.CharField(
        max_length=20, choices=choices(UncertainPolicy), default=UncertainPolicy.RESEND
    )
    large_mail = models.CharField(max_length=20, choices=choices(LargeMail), default=LargeMail.AUTO)
    invitations = models.CharField(
        "invitations to others",
        max_length=10,
        choices=choices(Invitations),
        default=Invitations.FILE,
        db_default=Invitations.FILE,
        help_text="What becomes of an invitation whose calendar does not name exactly the recipients",
    )
    large_text = models.CharField(
        "text that is too large",
        max_length=10,
        choices=choices(LargeText),
        default=LargeText.FILE,
        db_default=LargeText.FILE,
        help_text="A text that one request has no room for travels as a file, or is refused",
    )
    bounce_policy = models.CharField(
        max_length=20,
        choices=choices(BouncePolicy),
        default=BouncePolicy.DEFAULT,
        blank=True,
        help_text="Who is told about mail that cannot be delivered; empty is what BOUNCE_POLICY says",
    )
    sent_items = models.CharField(
        "copies in Sent Items",
        max_length=10,
        choices=choices(SentItems),
        default=SentItems.KEEP,
        db_default=SentItems.KEEP,
        help_text="Removing them afterwards needs Mail.ReadWrite",
    )
    own_message_ids = models.BooleanField(
        "own Message-IDs",
        default=False,
        db_default=False,
        help_text="Of mail that shares a Message-ID, as the parts of a split do, each but the first gets one "
        "of its own",
    )
    fallback = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Sends this sender's mail while it is held for a fault of its mailbox or app registration",
    )
    redirect_all_to = models.EmailField(
        blank=True, default="", help_text="For staging: every mail goes here instead"
    )
    active = models.BooleanField(default=True)
    managed_by = models.CharField(max_length=20, choices=choices(ManagedBy), default=ManagedBy.ADMIN)
    #: A person's pause: mail is accepted and held until somebody lets it go on.
    paused_at = models.DateTimeField(null=True, editable=False)
    paused_by = models.CharField(max_length=200, default="", db_default="", blank=True, editable=False)
    pause_reason = models.CharField(max_length=500, default="", db_default="", blank=True, editable=False)

    class Meta:
        verbose_name = "sender"
        constraints = (
            models.UniqueConstraint(
                fields=["managed_by"], condition=Q(managed_by="environment"), name="one_sender_of_environment"
            ),
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="one_default_sender"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def sends_large(self, mailbox: Mailbox) -> bool:
        """Whether its large mail may go through `mailbox` by draft and upload; not known is no."""
        if self.large_mail == LargeMail.AUTO:
            return bool(mailbox.can_draft)
        return self.large_mail == LargeMail.ON

    @property
    def address_list(self) -> frozenset[str]:
        return frozenset(map(normalise, (*self.addresses.split(), self.mailbox.address)))

    @property
    def domain_list(self) -> frozenset[str]:
        return frozenset(normalise(domain.lstrip("@")) for domain in self.domains.split())
