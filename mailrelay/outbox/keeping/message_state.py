"""Derives the state of a message from its deliveries, and writes its timeline."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from mailrelay.models import Delivery, Message, TimelineEntry
from mailrelay.vocabulary import State

#: A message stands where the most pressing of its deliveries does.
ORDER = (
    State.UNCERTAIN,
    State.HELD,
    State.DEFERRED,
    State.QUEUED,
    State.FAILED,
    State.SENT,
    State.CANCELLED,
)


def derived(states: Iterable[str]) -> State:
    """Return the state of a message whose deliveries are in `states`; work in flight counts as queued."""
    in_flight = {State.RESERVED, State.SENDING}
    present = {State.QUEUED if state in in_flight else State(state) for state in states}
    return next(state for state in ORDER if state in present)


def message(message_id: UUID, now: datetime) -> None:
    """Make the message's state follow its deliveries, in the caller's transaction."""
    states = Delivery.objects.filter(message_id=message_id).values_list("state", flat=True)
    if len(states) > 1:
        # Two that settle at once would not see each other's move: the second waits, and looks again.
        Message.objects.select_for_update(no_key=True).filter(pk=message_id).first()
        states = states.all()
    state = derived(states)
    Message.objects.filter(pk=message_id).exclude(state=state).update(state=state, state_at=now)


def messages(message_ids: Iterable[UUID], now: datetime) -> None:
    for message_id in set(message_ids):
        message(message_id, now)


def note(delivery: Delivery, text: str, now: datetime, actor: str = "") -> None:
    """Write a line on the timeline of the delivery's message."""
    TimelineEntry.objects.create(
        message_id=delivery.message_id, delivery=delivery, at=now, actor=actor, text=text
    )
