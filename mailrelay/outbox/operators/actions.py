"""Moves of a message by a person: retry now, hold, release, cancel. Safe to do twice; each is on record.

`actor` is who, and `why` the reason that is kept beside it on the timeline.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from mailrelay.models import Delivery, Mailbox, Message
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.settling.expiry import may_have_been_sent
from mailrelay.vocabulary import Reason, State

#: What no worker has begun: a reservation that is taken away here is no one's when its task comes.
WAITING = (State.QUEUED, State.RESERVED, State.DEFERRED, State.UNCERTAIN)
QUEUED = {"state": State.QUEUED, "reason": Reason.NONE, "crashes": 0}
SECOND = "Graph may have sent it before, so that this may be a second copy."


def requeue(message_id: UUID, actor: str, why: str = "") -> int:
    """Queue what is deferred, held, failed or uncertain of a message; return how many deliveries moved."""
    states = (State.DEFERRED, State.HELD, State.FAILED, State.UNCERTAIN)
    return _by_hand(message_id, (actor, why), "Queued again", states, QUEUED | {"attempts": 0})


def hold(message_id: UUID, actor: str, why: str = "") -> int:
    """Hold what waits of a message until it is released."""
    return _by_hand(
        message_id, (actor, why), "Held", WAITING, {"state": State.HELD, "reason": Reason.BY_HAND}
    )


def release(message_id: UUID, actor: str, why: str = "") -> int:
    """Queue what is held of a message, whatever it was held for."""
    return _by_hand(message_id, (actor, why), "Released", (State.HELD,), QUEUED)


def cancel(message_id: UUID, actor: str, why: str = "") -> int:
    """Withdraw what was not sent of a message; what a worker has in hand goes on."""
    columns = {"state": State.CANCELLED, "reason": Reason.BY_HAND}
    return _by_hand(message_id, (actor, why), "Cancelled", (*WAITING, State.HELD), columns)


ACTIONS: dict[str, Callable[..., int]] = {
    "requeue": requeue,
    "hold": hold,
    "release": release,
    "cancel": cancel,
}


def by(actor: str, why: str) -> str:
    """Say who did something, and why if that was said."""
    return f"by {actor}: {why.rstrip('.')}" if why else f"by {actor}"


def _by_hand(
    message_id: UUID,
    person: tuple[str, str],
    word: str,
    states: tuple[State, ...],
    columns: Mapping[str, object],
) -> int:
    return write(Move.BY_HAND, lambda: _move(message_id, person, word, states, columns, clock.now()))


def _move(
    message_id: UUID,
    person: tuple[str, str],
    word: str,
    states: tuple[State, ...],
    columns: Mapping[str, object],
    now: datetime,
) -> int:
    rows = Delivery.objects.filter(message_id=message_id, state__in=states).order_by("pk")
    locked = list(rows.select_for_update(of=("self",), no_key=True))
    if columns["state"] == State.QUEUED:
        refuse_without_content(message_id)
        columns = {**columns, "released_at": now}
    moved = 0
    for row in locked:
        if _move_one(row, columns):
            moved += 1
            text = f"{word} {by(*person)}."
            if columns["state"] == State.QUEUED and may_have_been_sent(row):
                Delivery.objects.filter(pk=row.pk).update(copy_allowed=True)
                text = f"{text} {SECOND}"
            message_state.note(row, text, now, person[0])
            Mailbox.objects.filter(pk=row.mailbox_id).update(wake_at=now)
    message_state.message(message_id, now)
    return moved


def refuse_without_content(message_id: UUID) -> None:
    """Raise ContentRemovedError where there is nothing left to send.

    Retention locks the deliveries before it takes the content: each sees what the other holds.
    """
    message = Message.objects.filter(pk=message_id, content_removed_at__isnull=False).first()
    if message is not None:
        at = f"{message.content_removed_at:%Y-%m-%d %H:%M} UTC"
        raise ContentRemovedError(
            f"{message.queue_id} cannot be sent again: its content was removed on {at}. Ask the sender "
            "to resend it."
        )


def _move_one(row: Delivery, columns: Mapping[str, object]) -> bool:
    """Move one delivery, unless a worker was quicker."""
    mine = Delivery.objects.filter(pk=row.pk, state=row.state, token=row.token)
    nothing = {"token": None, "leased_until": None, "next_attempt_at": None, "copy_allowed": False}
    return bool(mine.update(**nothing, **columns))
