"""People who sign in: their audit list, failed logins, second factor."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from mailrelay.models.encrypted import EncryptedTextField


class RecordIsFinalError(Exception):
    """Somebody tried to change or remove an entry of the audit list."""


class AuditEvents(models.QuerySet["AuditEvent"]):
    """Entries to add and to read."""

    def update(self, **_: Any) -> NoReturn:
        raise RecordIsFinalError("The audit list is only ever added to.")

    def delete(self) -> NoReturn:
        raise RecordIsFinalError("The audit list is only ever added to.")


class AuditEvent(models.Model):
    """One thing that a person did or looked at; names are kept as text, so that they outlive the account."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=200, db_index=True)
    address = models.CharField(max_length=64, blank=True, default="", help_text="Where the request came from")
    action = models.CharField(max_length=100)
    target = models.CharField(max_length=200, blank=True, default="", db_index=True)
    detail = models.TextField(blank=True, default="")
    status = models.PositiveSmallIntegerField(default=0, help_text="HTTP status of the answer; 0 is none")

    objects = AuditEvents.as_manager()

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit list"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.target}".rstrip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the entry. Raises RecordIsFinalError for one that is on record."""
        if not self._state.adding:
            raise RecordIsFinalError("The audit list is only ever added to.")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise RecordIsFinalError("The audit list is only ever added to.")


class LoginBucket(models.Model):
    """How many more logins somebody may try: by hash of the name, by address, or by both."""

    key = models.CharField(max_length=80, unique=True)
    tokens = models.FloatField()
    filled_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class SecondFactor(models.Model):
    """The key of a person's authenticator (RFC 6238); it counts once it was confirmed by a code."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor"
    )
    secret = EncryptedTextField()
    confirmed_at = models.DateTimeField(null=True)
    #: The newest time step whose code was taken: RFC 6238 section 5.2 wants each code used once.
    last_step = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class EntraAccount(models.Model):
    """Who an account is in Entra ID: ids that are never given to anybody else."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="entra")
    tenant_id = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["tenant_id", "object_id"], name="account_of_object"),)

    def __str__(self) -> str:
        return f"{self.tenant_id}/{self.object_id}"
