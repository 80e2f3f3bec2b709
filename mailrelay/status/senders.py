"""Tells whether a sender's mail goes, and what stops it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from mailrelay.models import SenderConfig
from mailrelay.status import mailboxes
from mailrelay.status.record import Status

OPEN = Status("open", "Mail of this sender is sent.")


def of_sender(sender: SenderConfig, now: datetime) -> Status:
    """Return the first thing that stops a sender, which brings its mailbox and registration.

    `reason` names the others too: anyone who removes the first is not surprised by the next.
    """
    found = list(_obstacles(sender, now))
    if not found:
        return OPEN
    first, *others = found
    also = (f"Also: {other.sentence} {other.reason}".rstrip() for other in others)
    return replace(first, reason=" ".join(filter(None, (first.reason, *also))))


def _obstacles(sender: SenderConfig, now: datetime) -> Iterator[Status]:
    if not sender.active:
        yield Status("off", f"The sender “{sender.name}” is switched off.")
    if sender.paused_at is not None:
        why = f": {sender.pause_reason}" if sender.pause_reason else "."
        yield Status(
            "paused_by_hand",
            f"The sender “{sender.name}” is paused.",
            f"Paused by {sender.paused_by}{why}",
            "Resume it on its page in the admin.",
        )
    if found := mailboxes.obstacle(sender.mailbox, now):
        yield found
