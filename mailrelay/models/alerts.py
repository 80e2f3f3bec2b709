"""Alerts: episodes, channels, and what each channel was told."""

from django.core.validators import MaxValueValidator
from django.db import models

from mailrelay.models.choices import choices
from mailrelay.models.encrypted import EncryptedTextField
from mailrelay.vocabulary import Channel, Condition


class Alert(models.Model):
    """Something that is the matter, or was: one row for each thing that it can be the matter with."""

    key = models.CharField(max_length=200, unique=True, editable=False)
    condition = models.CharField(max_length=20, choices=choices(Condition))
    subject = models.CharField(max_length=300)
    text = models.TextField(default="")
    #: Rises as it gets worse, such as a secret that ends in 30, 14, 3, 1 days.
    level = models.PositiveSmallIntegerField(default=1)
    #: Of the present episode: a thing that comes back within a few minutes never went.
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.subject


class AlertChannel(models.Model):
    """Somebody who is told, of which conditions, and how often at most."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=choices(Channel), default=Channel.EMAIL)
    address = models.EmailField(
        blank=True, default="", help_text="For e-mail; empty is OPERATIONS_ADDRESS of the settings"
    )
    #: A secret: anyone who knows it can post there.
    url = EncryptedTextField(blank=True, default="")
    conditions = models.CharField(max_length=200, default="", help_text="Words, blanks between them")
    digest_minutes = models.PositiveIntegerField(
        default=10,
        db_default=10,
        validators=[MaxValueValidator(1440)],
        help_text="Between two messages; what happens meanwhile is told in one",
    )
    active = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, editable=False)
    told_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    last_error = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)

    def __str__(self) -> str:
        return self.name


class AlertTold(models.Model):
    """What a channel was last told about an alert."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="told")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="told")
    level = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    #: Whether it was told that the matter is over.
    over = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["channel", "alert"], name="told_of_alert"),)

    def __str__(self) -> str:
        return f"{self.channel_id}/{self.alert_id}"


class Lease(models.Model):
    """A task that one process of all hosts does at a time, until `until`."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=200)
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
