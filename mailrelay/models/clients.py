"""Who may talk to the listener."""

from django.db import models

from mailrelay.vocabulary import Urgency


class SmtpClient(models.Model):
    """An application or device, known by the networks that it connects from."""

    name = models.CharField(max_length=200, unique=True)
    networks = models.TextField(help_text="CIDRs that it connects from, one a line")
    allowed_from = models.TextField(
        blank=True,
        default="",
        help_text="From addresses and @domains that it may use, one a line; empty is any",
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

    def __str__(self) -> str:
        return self.name
