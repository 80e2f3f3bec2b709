"""The page of one message: where it stands, what comes next, whom it goes to, and what happened."""

from dataclasses import dataclass
from datetime import datetime

from mailrelay.console import cells, timeline
from mailrelay.models import Delivery, Message, Recipient
from mailrelay.models.messages import named_as, task_id
from mailrelay.outbox.db import clock
from mailrelay.status import workers
from mailrelay.status.deliveries import of_delivery
from mailrelay.status.messages import content_kept, shown_state
from mailrelay.status.record import Status
from mailrelay.status.words import state_words

#: Recipients that the page lists.
LISTED = 500


@dataclass(frozen=True, slots=True)
class Part:
    """One delivery of a message as the page shows it."""

    delivery: Delivery
    badge: str
    status: Status
    when: str


@dataclass(frozen=True, slots=True)
class Addressee:
    address: str
    badge: str
    #: What the client called it, where that was something else.
    named_as: str = ""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """What the template prints."""

    message: Message
    badge: str
    since: str
    parts: list[Part]
    recipients: list[Addressee]
    more_recipients: int
    timeline: timeline.Timeline
    accepted: str
    size: str
    content_line: str
    content_when: str

    @property
    def tasks(self) -> list[str]:
        """The newest task of each part, as Flower and the logs know it."""
        claimed = [part.delivery for part in self.parts if part.delivery.claims]
        return [task_id(self.message.pk, each.part, each.claims) for each in claimed]

    @property
    def has_content(self) -> bool:
        return self.message.content_removed_at is None


def page_of(message: Message) -> MessagePage:
    """Read the page of `message`, which brings its sender, client and deliveries, in four queries."""
    now = clock.now()
    deliveries = list(message.deliveries.all())
    queues = workers.served_queues(now)
    parts = [_part(delivery, now, queues) for delivery in deliveries]
    sentence, at = content_kept(message)
    return MessagePage(
        message=message,
        badge=state_badge(shown_state(message, deliveries)),
        since=cells.moment(message.state_at, now),
        parts=parts,
        recipients=_addressees(message, deliveries),
        more_recipients=max(0, message.recipient_count - LISTED),
        timeline=timeline.of(message),
        accepted=cells.moment(message.created_at, now),
        size=cells.size(message.size),
        content_line=sentence,
        content_when=cells.moment(at, now) if at else "",
    )


def state_badge(state: str) -> str:
    words = state_words(state)
    return cells.badge(words.title, words.tone)


def _part(delivery: Delivery, now: datetime, queues: frozenset[str]) -> Part:
    coming = of_delivery(delivery, now, queues)
    when = cells.moment(coming.next_at, now) if coming.next_at else ""
    return Part(delivery, state_badge(delivery.state), coming, when)


def _addressees(message: Message, deliveries: list[Delivery]) -> list[Addressee]:
    states = {delivery.pk: delivery.state for delivery in deliveries}
    rows = Recipient.objects.filter(message=message).order_by("pk")
    return [
        Addressee(
            address, state_badge(states.get(delivery_id or 0, message.state)), named_as(original, address)
        )
        for address, delivery_id, original in rows.values_list("address", "delivery_id", "dsn_orcpt")[:LISTED]
    ]
