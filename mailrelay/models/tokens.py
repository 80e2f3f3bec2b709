"""Tokens of the API, and the keys of what was handed in by them."""

import hashlib

from django.core.validators import MinValueValidator
from django.db import models

from mailrelay.models.clients import SmtpClient


def digest(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiToken(models.Model):
    """What a script shows instead of a password. Only its SHA-256 is kept: 256 random bits need no salt."""

    name = models.CharField(max_length=150, unique=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.CharField(max_length=200, help_text="What it may do: words, blanks between them")
    client = models.ForeignKey(
        SmtpClient,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="tokens",
        verbose_name="SMTP client",
        help_text="Whose rules hold for what it submits: From, recipients, sizes, rates, networks",
    )
    requests_per_minute = models.PositiveIntegerField(
        default=600,
        db_default=600,
        validators=[MinValueValidator(1)],
        help_text="As a bucket, in each web process; more are told 429",
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is refused; empty is never"
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name


class SubmissionKey(models.Model):
    """An Idempotency-Key that was taken with a message, committed with it: a repetition gets its id."""

    #: SHA-256 of the token and the key.
    digest = models.CharField(max_length=64, primary_key=True)
    #: SHA-256 of the envelope and the content, which tells a repetition from another mail under the same key.
    fingerprint = models.CharField(max_length=64)
    #: No foreign key: the message may be removed before the key is forgotten.
    message_id = models.UUIDField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.message_id.hex
