"""What a person does to a message: retry now, hold, release, cancel. Safe to do twice; each is on record."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox import clock, follow
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import Reason, State

WAITING = (State.QUEUED, State.DEFERRED)


def requeue(message_id: UUID, actor: str) -> int:
    """Queue what is deferred, held or failed of a message; return how many deliveries moved."""
    return _by_hand(
        message_id,
        actor,
        "Queued again",
        (State.DEFERRED, State.HELD, State.FAILED),
        {"state": State.QUEUED, "reason": Reason.NONE, "next_attempt_at": None, "crashes": 0, "attempts": 0},
    )


def hold(message_id: UUID, actor: str) -> int:
    """Hold what waits of a message until it is released."""
    return _by_hand(
        message_id,
        actor,
        "Held",
        WAITING,
        {"state": State.HELD, "reason": Reason.BY_HAND, "next_attempt_at": None},
    )


def release(message_id: UUID, actor: str) -> int:
    """Queue what is held of a message, whatever it was held for."""
    return _by_hand(
        message_id,
        actor,
        "Released",
        (State.HELD,),
        {"state": State.QUEUED, "reason": Reason.NONE, "crashes": 0},
    )


def cancel(message_id: UUID, actor: str) -> int:
    """Withdraw what was not sent of a message; what a worker has in hand goes on."""
    return _by_hand(
        message_id,
        actor,
        "Cancelled",
        (*WAITING, State.HELD, State.UNCERTAIN),
        {"state": State.CANCELLED, "reason": Reason.BY_HAND, "next_attempt_at": None},
    )


ACTIONS: dict[str, Callable[[UUID, str], int]] = {
    "requeue": requeue,
    "hold": hold,
    "release": release,
    "cancel": cancel,
}


def _by_hand(
    message_id: UUID, actor: str, word: str, states: tuple[State, ...], columns: dict[str, object]
) -> int:
    return write(Move.BY_HAND, lambda: _move(message_id, actor, word, states, columns, clock.now()))


def _move(
    message_id: UUID,
    actor: str,
    word: str,
    states: tuple[State, ...],
    columns: dict[str, object],
    now: datetime,
) -> int:
    rows = Delivery.objects.filter(message_id=message_id, state__in=states)
    moved = 0
    for row in rows.select_for_update(of=("self",), no_key=True):
        if Delivery.objects.filter(pk=row.pk, state=row.state).update(**columns):
            moved += 1
            follow.note(row, f"{word} by {actor}.", now, actor)
            Mailbox.objects.filter(pk=row.mailbox_id).update(wake_at=now)
    follow.message(message_id, now)
    return moved
