"""The page of one message: where it stands, what comes next, whom it goes to, and what happened."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrelay.console import cells, outlook, timeline
from mailrelay.console.outlook import Outlook
from mailrelay.console.registration_form import WITHOUT_SECRETS
from mailrelay.console.words import state_words
from mailrelay.models import Delivery, Message, Recipient, Worker
from mailrelay.models.messages import named_as, task_id
from mailrelay.outbox import capacity, clock
from mailrelay.vocabulary import State

#: What the sentences on a delivery need of its surroundings, and what of it nobody reads.
RELATED = ("sender", "mailbox__registration")
DEFERRED = tuple(f"mailbox__registration__{name}" for name in WITHOUT_SECRETS)
#: Recipients that the page lists.
LISTED = 500


@dataclass(frozen=True, slots=True)
class Part:
    """One delivery of a message as the page shows it."""

    delivery: Delivery
    badge: str
    outlook: Outlook
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
    queues = _live_queues(now)
    parts = [_part(delivery, now, queues) for delivery in deliveries]
    sentence, at = outlook.content_line(message)
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


def shown_state(message: Message, deliveries: list[Delivery]) -> str:
    """The message's own state, or that it is being sent right now."""
    in_hand = any(delivery.state in {State.RESERVED, State.SENDING} for delivery in deliveries)
    return State.SENDING if message.state == State.QUEUED and in_hand else message.state


def _live_queues(now: datetime) -> set[str]:
    """Return the Celery queues that living workers serve."""
    silent = now - timedelta(seconds=capacity.HEARTBEAT * capacity.MISSED)
    alive = Worker.objects.filter(seen_at__gte=silent).values_list("queues", flat=True)
    return {queue for queues in alive for queue in queues.split(",")}


def _part(delivery: Delivery, now: datetime, queues: set[str]) -> Part:
    queue = capacity.queue_of(delivery.mailbox.registration.managed_by, delivery.route)
    coming = outlook.of(delivery, now, workers=queue in queues)
    when = cells.moment(coming.at, now) if coming.at else ""
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
