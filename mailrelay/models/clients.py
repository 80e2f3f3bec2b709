"""Clients of the SMTP listener, and what was refused to them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from mailrelay.vocabulary import Urgency


class ClientRules(models.Model):
    """What is said of one client or of all; where neither says it, the settings do."""

    default_domain = models.CharField(
        max_length=253,
        blank=True,
        default="",
        help_text="Domain of recipients that are written without one",
    )
    #: Names in lower case, each with the addresses and names that it stands for.
    aliases = models.JSONField(blank=True, default=dict, help_text="Whom recipients stand for")
    repeat_minutes = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Minutes in which the same mail is a repetition and stored once; 0 is never",
    )

    class Meta:
        abstract = True


class ClientDefaults(ClientRules):
    """The rules of all clients that have none of their own; one row."""

    class Meta:
        verbose_name = verbose_name_plural = "rules of all clients"

    def __str__(self) -> str:
        return "All clients"


class SmtpClient(ClientRules):
    """An application or device, known by the networks that it connects from, or by a login."""

    name = models.CharField(max_length=200, unique=True)
    networks = models.TextField(
        blank=True,
        default="",
        help_text="CIDRs that it connects from, one a line; with a login, where it may log in from, empty is "
        "anywhere",
    )
    login = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The user name that it logs in with; its networks alone do not let it in then",
    )
    #: scrypt, as `mailrelay.routing.passwords` makes it; the password itself is kept nowhere.
    password_hash = models.CharField(max_length=200, blank=True, default="", editable=False)
    allowed_from = models.TextField(
        blank=True,
        default="",
        help_text="From addresses and @domains that it may use, one a line; empty is any",
    )
    allowed_recipients = models.TextField(
        blank=True,
        default="",
        help_text="Addresses and @domains that it may send to, one a line; empty is any",
    )
    max_message_size = models.PositiveBigIntegerField(
        default=0, help_text="Bytes of one message; 0 is what the listener takes"
    )
    messages_per_minute = models.PositiveIntegerField(
        default=0, help_text="As a bucket, in each listener process; 0 is no limit"
    )
    max_connections = models.PositiveIntegerField(
        default=0, help_text="At a time, in each listener process; 0 is SMTP_MAX_CONNECTIONS_PER_CLIENT"
    )
    urgency = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        choices=[(urgency.value, urgency.name.lower()) for urgency in Urgency],
        help_text="Which of a mailbox's mail goes first; empty lets each mail's own headers say",
    )
    active = models.BooleanField(default=True)
    #: When it last handed mail in, or tried to; to about a minute.
    seen_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "SMTP client"
        constraints = (
            models.UniqueConstraint(Lower("login"), condition=~Q(login=""), name="client_of_login"),
        )

    def __str__(self) -> str:
        return self.name


class Refusal(models.Model):
    """What the listener refused from one address by one rule: how often, and the latest of it."""

    address = models.CharField(max_length=64)
    rule = models.CharField(max_length=60)
    #: Of the latest: the client that it was known as, empty for nobody's address; MAIL FROM; the reply.
    client_name = models.CharField("client", max_length=200, blank=True, default="")
    mail_from = models.CharField("from", max_length=320, blank=True, default="")
    reply = models.CharField(max_length=500, default="")
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["address", "rule"], name="refusal_of_address"),)

    def __str__(self) -> str:
        return f"{self.address}: {self.rule}"
