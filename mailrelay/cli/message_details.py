"""One message in words: who sent it to whom, what was tried, and what happens next."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from mailrelay.cli.table import printable, span, stamp
from mailrelay.models import Delivery, Message, SendLog, TimelineEntry
from mailrelay.outbox.db import clock
from mailrelay.outbox.keeping import origin
from mailrelay.status import workers
from mailrelay.status.deliveries import chosen, of_delivery
from mailrelay.status.messages import shown_state
from mailrelay.vocabulary import State

#: Recipients of one of several deliveries that are named.
NAMED = 3


def told(message_id: UUID) -> Iterator[str]:
    """Yield the lines of a message's story. Raises Message.DoesNotExist."""
    message = Message.objects.select_related("sender__mailbox", "client").get(pk=message_id)
    deliveries = list(chosen(message=message))
    yield f"Message    {message.queue_id}"
    yield f"State      {shown_state(message, deliveries)} since {stamp(message.state_at)}"
    yield f"Subject    {printable(message.subject) or '(none)'}"
    yield f"Message-ID <{printable(message.message_id)}>"
    yield f"From       {printable(message.header_from) or '(none)'}"
    yield f"MAIL FROM  <{printable(message.mail_from)}>"
    yield f"Sender     {message.sender.name}, through the mailbox {message.sender.mailbox.address}"
    yield f"Size       {message.size} bytes{_content(message)}"
    yield from _recipients(message, deliveries)
    yield ""
    yield from _timeline(message)
    yield ""
    now = clock.now()
    queues = workers.served_queues(now)
    several = len(deliveries) > 1
    yield from (_next(one, now, queues, _whose(message, one) if several else "") for one in deliveries)


def _content(message: Message) -> str:
    removed = message.content_removed_at
    return f", content removed at {stamp(removed)}: it cannot be sent again" if removed else ""


def _recipients(message: Message, deliveries: list[Delivery]) -> Iterator[str]:
    states = {delivery.pk: State(delivery.state) for delivery in deliveries}
    for number, recipient in enumerate(message.recipients.order_by("pk").iterator(chunk_size=500)):
        heading = "To" if not number else ""
        state = states.get(recipient.delivery_id or 0, State.FAILED)
        named = f", named as {printable(recipient.named_as)}" if recipient.named_as else ""
        yield f"{heading:10} {printable(recipient.address)}: {state.value}{named}"


def _timeline(message: Message) -> Iterator[str]:
    events = [(message.created_at, printable(origin.told(message)))]
    events += [(entry.at, _entry(entry)) for entry in message.timeline.all()]
    events += [(attempt.started_at, _attempt(attempt)) for attempt in message.attempts.all()]
    for at, text in sorted(events, key=lambda event: event[0]):
        yield f"{stamp(at)}  {text}"


def _entry(entry: TimelineEntry) -> str:
    return printable(entry.text)


def _attempt(attempt: SendLog) -> str:
    facts = [f"attempt {attempt.number} ({attempt.route})"]
    if attempt.duration_ms is not None:
        facts.append(f"{attempt.duration_ms / 1000:.2f} s")
    if attempt.http_status:
        facts.append(f"HTTP {attempt.http_status}")
    facts += [printable(attempt.graph_code)] if attempt.graph_code else []
    facts += [f"request-id {printable(attempt.request_id)}"] if attempt.request_id else []
    said = printable(f"{attempt.sentence} {attempt.advice}".strip()) or "The request is under way."
    return f"{', '.join(facts)}: {attempt.outcome or 'no answer yet'}. {said}"


#: What a person can do with each state, by this command.
_COMMANDS = {
    State.DEFERRED: "`mailq requeue` tries it now.",
    State.FAILED: "`mailq requeue` tries it once more.",
    State.HELD: "`mailq release` sends it, `mailq cancel` withdraws it.",
}


def _whose(message: Message, delivery: Delivery) -> str:
    """Name the recipients of one of several deliveries, the first few of many."""
    addresses = message.recipients.filter(delivery=delivery).order_by("pk").values_list("address", flat=True)
    first = ", ".join(map(printable, addresses[:NAMED]))
    more = len(addresses) - NAMED
    return f" for {first}{f' and {more} more' if more > 0 else ''}"


def _next(delivery: Delivery, now: datetime, queues: frozenset[str], whose: str) -> str:
    """Say what happens next to a delivery; `whose` names its recipients where there are others."""
    status = of_delivery(delivery, now, queues)
    told = status.text(lambda at: f"in {span((at - now).total_seconds())}, at {stamp(at)}")
    gone = delivery.message.content_removed_at is not None
    command = "" if gone else _COMMANDS.get(State(delivery.state), "")
    return f"Next{whose}, through {delivery.mailbox.address}: {printable(told)} {command}".rstrip()
