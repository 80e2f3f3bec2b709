"""Reports of bounces, found in the senders' Inboxes."""

from django.db import models

from mailrelay.models.messages import Message
from mailrelay.models.senders import Mailbox


class Inbox(models.Model):
    """How far a mailbox's Inbox was read for non-delivery reports."""

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, primary_key=True, related_name="inbox")
    looked_at = models.DateTimeField(null=True, editable=False)
    #: Reports that were received up to then are known.
    read_until = models.DateTimeField(null=True, editable=False)
    #: When Graph last said that the application may not read it; null when it may, or was not asked.
    refused_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ()
        verbose_name_plural = "inboxes"

    def __str__(self) -> str:
        return f"Inbox of {self.mailbox_id}"


class NonDelivery(models.Model):
    """What one report (RFC 3464) says of one recipient of a message."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="non_deliveries")
    #: The report's immutable id in its mailbox, cut.
    report = models.CharField(max_length=200)
    received_at = models.DateTimeField()
    recipient = models.CharField(max_length=320)
    status = models.CharField(max_length=12, blank=True, default="", help_text="Enhanced code (RFC 3463)")
    diagnostic = models.TextField(blank=True, default="")

    class Meta:
        default_permissions = ()
        verbose_name_plural = "non-deliveries"
        constraints = (
            models.UniqueConstraint(fields=["message", "report", "recipient"], name="recipient_of_report"),
        )
        indexes = (models.Index(fields=["-received_at"], name="non_delivery_received"),)

    def __str__(self) -> str:
        return f"{self.recipient}: {self.status}"
