"""Tells the state of a whole message, and how long its content is kept."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from mailrelay.models import Delivery, Message
from mailrelay.vocabulary import FINAL_STATES, State


def shown_state(message: Message, deliveries: Iterable[Delivery]) -> State:
    """Return a message's state; one with a part in flight is sending or reserved, not queued."""
    present = {row.state for row in deliveries}
    in_flight = (state for state in (State.SENDING, State.RESERVED) if state in present)
    return next(in_flight, State(message.state))


def content_kept(message: Message) -> tuple[str, datetime | None]:
    """Say what becomes of the content: a sentence, and the time that belongs at its end."""
    if message.content_removed_at is not None:
        return "The content was removed", message.content_removed_at
    if message.state == State.SENT:
        kept = timedelta(hours=settings.RETENTION_SENT_HOURS)
    elif message.state in {*FINAL_STATES, State.HELD}:
        kept = timedelta(days=settings.RETENTION_FAILED_DAYS)
    else:
        return "The content is kept for as long as the message waits.", None
    return "The content is kept until", message.state_at + kept
