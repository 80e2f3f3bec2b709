"""What a mailbox may do now: its slots, its bucket, its pauses. Decided under the lock of its row alone."""

from datetime import datetime, timedelta

from mailrelay.models import Mailbox

MINUTE = 60.0


def refill(mailbox: Mailbox, now: datetime) -> None:
    """Put into the bucket what the time since its last look has earned; time run backwards earns nothing."""
    capacity = float(mailbox.messages_per_minute)
    if mailbox.tokens_at is None:
        mailbox.tokens = capacity
    else:
        elapsed = max(0.0, (now - mailbox.tokens_at).total_seconds())
        mailbox.tokens = min(capacity, mailbox.tokens + elapsed * capacity / MINUTE)
    mailbox.tokens_at = now


def room(mailbox: Mailbox, in_flight: int) -> int | None:
    """Return how many more messages may start now; None is no limit."""
    bounds = []
    if mailbox.concurrency:
        bounds.append(max(0, mailbox.concurrency - in_flight))
    if mailbox.messages_per_minute:
        bounds.append(int(mailbox.tokens))
    return min(bounds, default=None)


def spend(mailbox: Mailbox, messages: int) -> None:
    mailbox.tokens -= messages


def refund(mailbox: Mailbox, messages: int = 1) -> None:
    """Give back what a message that never started had taken."""
    mailbox.tokens = min(float(mailbox.messages_per_minute), mailbox.tokens + messages)


def next_token_at(mailbox: Mailbox, now: datetime) -> datetime:
    """Return when the bucket holds a whole message again; `now` when it does, or when there is no limit."""
    missing = 1.0 - mailbox.tokens
    if not mailbox.messages_per_minute or missing <= 0:
        return now
    return now + timedelta(seconds=missing * MINUTE / mailbox.messages_per_minute)
