"""Shows the bounces of a sent message from the sender's Inbox, or why nobody knows of any."""

from dataclasses import dataclass

from django.conf import settings
from django.utils.safestring import SafeString

from mailrelay.console import cells
from mailrelay.models import Inbox, Message, NonDelivery
from mailrelay.outbox.db import clock

#: What the badge of such a message says in place of its state, and its tone.
BOUNCED_BADGE = ("Sent, bounced later", "bad")
#: Recipients that the page lists.
LISTED = 100
OFF = (
    "Nobody here looks for reports in the sender's Inbox (BOUNCE_WATCH_SECONDS is 0), so that it cannot be "
    "known here whether it bounced later."
)
REFUSED = (
    "The app registration may not read the sender's Inbox (that needs Mail.Read), so that it cannot be known "
    "here whether it bounced later."
)
UNREAD = "The sender's Inbox has not been read yet for reports about it."


@dataclass(frozen=True, slots=True)
class Bounces:
    """Reports about a message, and a sentence where there are none."""

    failures: list[NonDelivery]
    sentence: str

    @property
    def badge(self) -> SafeString | None:
        """What stands in place of the state; None where nothing bounced."""
        return cells.badge(*BOUNCED_BADGE) if self.failures else None


def of(message: Message, mailbox_id: int) -> Bounces:
    """Read what is known of `message`, which was sent through the mailbox, in two queries."""
    failures = list(message.non_deliveries.order_by("received_at", "pk")[:LISTED])
    inbox = None if failures else Inbox.objects.filter(mailbox=mailbox_id).first()
    return Bounces(failures, "" if failures else _sentence(inbox))


def _sentence(inbox: Inbox | None) -> str:
    if not settings.BOUNCE_WATCH_SECONDS:
        return OFF
    if inbox is not None and inbox.refused_at:
        return REFUSED
    if inbox is None or inbox.read_until is None:
        return UNREAD
    ago = cells.relative(inbox.read_until, clock.now())
    return f"The sender's Inbox was read until {cells.exact(inbox.read_until)} ({ago}): no report about it."
