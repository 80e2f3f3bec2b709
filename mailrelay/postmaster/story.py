"""One message in words: who sent it to whom, what was tried, and what happens next."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from mailrelay.models import Delivery, Message, SendLog, TimelineEntry
from mailrelay.outbox import clock, origin
from mailrelay.postmaster.listing import shown_state
from mailrelay.postmaster.text import printable, span
from mailrelay.vocabulary import Reason, State


def told(message_id: UUID) -> Iterator[str]:
    """Yield the lines of a message's story. Raises Message.DoesNotExist."""
    message = Message.objects.select_related("sender__mailbox", "client").get(pk=message_id)
    deliveries = list(message.deliveries.select_related("mailbox").order_by("pk"))
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
    yield from (_next(delivery, clock.now()) for delivery in deliveries)


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


_NEXT = {
    State.RESERVED: "A worker is about to begin.",
    State.SENDING: "A worker is sending it now.",
    State.SENT: "Graph took it. If it bounces later, the report is in the Inbox of the mailbox.",
    State.FAILED: "Nothing happens any more. `mailq requeue` tries it once more.",
    State.CANCELLED: "Nothing happens any more.",
}


def _next(delivery: Delivery, now: datetime) -> str:
    """Say what happens next to a delivery."""
    state = State(delivery.state)
    text = _NEXT.get(state) or _waits(delivery, state, now)
    if state == State.FAILED and delivery.message.content_removed_at:
        text = "Nothing happens any more: its content was removed, so that it cannot be sent again."
    return f"Next, through {delivery.mailbox.address}: {text}"


def _waits(delivery: Delivery, state: State, now: datetime) -> str:
    due = delivery.next_attempt_at
    when = f"in {span((due - now).total_seconds())}, at {stamp(due)}" if due and due > now else "at once"
    if state == State.DEFERRED:
        return f"It is tried again {when}. `mailq requeue` does so now."
    if state == State.UNCERTAIN:
        return f"Graph may have sent it. It is looked at again {when}."
    if state == State.HELD and delivery.reason == Reason.BY_HAND:
        return "It was held by hand: `mailq release` sends it, `mailq cancel` withdraws it."
    if state == State.HELD:
        reason = delivery.reason.replace("_", " ") or "no reason given"
        return f"It is held ({reason}). {printable(delivery.last_error)}".rstrip()
    return _queued(delivery, now)


def _queued(delivery: Delivery, now: datetime) -> str:
    paused = delivery.mailbox.paused_until
    if paused and paused > now:
        text = printable(delivery.mailbox.pause_text)
        return f"It waits for the end of the mailbox's pause at {stamp(paused)}. {text}".rstrip()
    return "It waits for its turn."


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
