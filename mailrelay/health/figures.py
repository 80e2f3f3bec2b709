"""Figures of the queue, read in a few indexed queries, never by a count of all there is."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min

from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig
from mailrelay.models.messages import AGED_FROM
from mailrelay.outbox.db import clock, counters
from mailrelay.status import workers
from mailrelay.vocabulary import OPEN_STATES, Reason, State


@dataclass(frozen=True)
class Figures:
    """One look at the queue. Times are unix seconds, ages seconds."""

    totals: dict[str, int]
    depth: dict[str, int]
    oldest_queued_age: float
    paused_mailboxes: int
    blocked_mailboxes: int
    failing_registrations: int
    workers: int
    token_expiry: dict[str, float]
    #: Seconds until a credential ends, by app registration and kind of proof.
    credential_expiry: dict[tuple[str, str], float]
    default_token_expiry: float | None


def gather() -> Figures:
    """Read the figures. Raises django.db.DatabaseError."""
    now = clock.now()
    oldest = Delivery.objects.filter(state=State.QUEUED).aggregate(at=Min(AGED_FROM))["at"]
    return Figures(
        totals=counters.totals(),
        depth={state.value: Delivery.objects.filter(state=state).count() for state in OPEN_STATES},
        oldest_queued_age=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        paused_mailboxes=Mailbox.objects.filter(paused_until__gt=now).count(),
        blocked_mailboxes=Mailbox.objects.exclude(blocked=Reason.NONE).count(),
        failing_registrations=AppRegistration.objects.exclude(failing=Reason.NONE).count(),
        workers=workers.alive(now).count(),
        token_expiry=_token_expiry(),
        credential_expiry=_credential_expiry(now),
        default_token_expiry=_timestamp(_default_expiry()),
    )


def _token_expiry() -> dict[str, float]:
    known = AppRegistration.objects.filter(active=True, token_expires_at__isnull=False)
    pairs = known.values_list("name", "token_expires_at")
    return {name: at.timestamp() for name, at in pairs if at}


def _credential_expiry(now: datetime) -> dict[tuple[str, str], float]:
    columns = (
        "name",
        "kind",
        "secret_in_use",
        "secret_expires_on",
        "next_secret_expires_on",
        "certificate_expires_at",
        "next_certificate_expires_at",
    )
    return {
        (row.name, proof): (end - now).total_seconds()
        for row in AppRegistration.objects.filter(active=True).only(*columns)
        for proof, end in row.endings_of_use().items()
    }


def _default_expiry() -> datetime | None:
    default = SenderConfig.objects.filter(is_default=True, active=True)
    return default.values_list("mailbox__registration__token_expires_at", flat=True).first()


def _timestamp(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
