"""Tells whether a mailbox and its app registration let mail through now."""

from datetime import datetime

from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox.rules import limits
from mailrelay.status.record import Status
from mailrelay.status.words import reason_words
from mailrelay.vocabulary import State

_LIMITS = {
    "requests_per_10_minutes": "requests in 10 minutes",
    "upload_bytes_per_5_minutes": "bytes sent to Microsoft in 5 minutes",
    "recipients_per_day": "recipients in 24 hours",
}


def obstacle(mailbox: Mailbox, now: datetime) -> Status | None:
    """Return what stops the mail of `mailbox`, which brings its registration; None where nothing does."""
    registration = mailbox.registration
    if not registration.active:
        return Status(
            "registration_off",
            f"The app registration “{registration.name}” is switched off.",
            todo="Switch it on in the admin to send its mail.",
            brief="app registration off",
        )
    if registration.failing:
        return Status(
            "no_token",
            f"The app registration “{registration.name}” gets no token.",
            registration.failing_text,
            next_at=registration.retry_at,
            next_step="Next try",
            brief=reason_words(registration.failing).title.lower(),
        )
    if mailbox.blocked:
        return Status(
            "held",
            f"The mailbox {mailbox.address} cannot send.",
            mailbox.blocked_text,
            next_at=mailbox.probe_at,
            next_step="Next try",
            brief=reason_words(mailbox.blocked).title.lower(),
        )
    if mailbox.paused_until is not None and mailbox.paused_until > now:
        return Status(
            "paused",
            f"The mailbox {mailbox.address} is paused.",
            mailbox.pause_text,
            next_at=mailbox.paused_until,
            next_step="Resumes",
            brief="mailbox paused",
        )
    return None


def limit_used_up(delivery: Delivery, now: datetime) -> Status | None:
    """Return which limit of its mailbox `delivery` waits for; None where none keeps it."""
    full = limits.used_up(delivery.mailbox, delivery, now)
    if full is None:
        return None
    limit, opens = full
    most, what = getattr(delivery.mailbox, limit.limit), _LIMITS[limit.limit]
    return Status(
        State.QUEUED,
        f"It waits: the mailbox {delivery.mailbox.address} has used up its limit of {most:,} {what}.",
        next_at=opens,
        next_step="Goes on",
        brief="limit used up",
    )


def pace(mailbox: Mailbox) -> str:
    """Say how fast a mailbox sends."""
    rate, slots = mailbox.messages_per_minute, mailbox.concurrency
    limits = [f"{rate} messages a minute" if rate else "", f"{slots} at once" if slots else ""]
    said = " and ".join(limit for limit in limits if limit)
    return f"{mailbox.address} sends {said}" if said else f"{mailbox.address} sends without a limit"
