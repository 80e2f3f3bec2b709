"""Who may talk to the listener."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from mailrelay.vocabulary import Urgency


class SmtpClient(models.Model):
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

    class Meta:
        verbose_name = "SMTP client"
        constraints = (
            models.UniqueConstraint(Lower("login"), condition=~Q(login=""), name="client_of_login"),
        )

    def __str__(self) -> str:
        return self.name
