"""Sends a message once more: as it was, through another sender, or to somebody else.

Each is safe to press twice: a resend names how many attempts were on record when it was asked for, a forward
the queue id of the mail that it makes, and a mail whose sender was changed is queued already.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db.models import F

from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, SenderConfig, SendLog, TimelineEntry
from mailrelay.outbox.accepting.storing import Arrived, Store, store_chunks
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.holding import mailbox_choice
from mailrelay.outbox.keeping import content, message_state
from mailrelay.outbox.operators import actions
from mailrelay.outbox.settling.expiry import may_have_been_sent
from mailrelay.outbox.submission import Submission
from mailrelay.vocabulary import Route, State, Urgency

#: What may leave its sender for another: in nobody's hand, and not to be sent without one.
MOVABLE = (State.FAILED, State.HELD, State.DEFERRED)


def attempts_of(message_id: UUID) -> int:
    """Return how many attempts are on record: what `resend` is told, to know a second press from a wish."""
    return SendLog.objects.filter(message_id=message_id).count()


def forward_id(once: UUID, message_id: UUID, recipient: str) -> UUID:
    """Make the queue id of a forward, which has the time of `once`: the same request makes the same id."""
    dsn_request = once.bytes + message_id.bytes + recipient.lower().encode("utf-8", "replace")
    mixed = hashlib.sha256(dsn_request).digest()[:10]
    number = (once.int >> 80 << 80) | int.from_bytes(mixed, "big")
    number = number & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=number & ~(0x3 << 62) | (0x2 << 62))


def resend(message_id: UUID, actor: str, seen: int, why: str = "") -> int:
    """Send once more what was sent of a message; return the deliveries that were queued.

    Nothing moves when more than `seen` attempts are on record. Raises ContentRemovedError.
    """

    def run() -> int:
        now = clock.now()
        rows = Delivery.objects.filter(message_id=message_id, state=State.SENT).order_by("pk")
        locked = list(rows.select_for_update(of=("self",), no_key=True))
        actions.refuse_without_content(message_id)
        if attempts_of(message_id) != seen:
            return 0
        moved = 0
        for row in locked:
            mine = Delivery.objects.filter(pk=row.pk, state=State.SENT)
            if mine.update(**actions.QUEUED, attempts=0, released_at=now, copies=F("copies") + 1):
                moved += 1
                message_state.note(
                    row, f"Sent once more {actions.by(actor, why)}. Recipients get a second copy.", now, actor
                )
                Mailbox.objects.filter(pk=row.mailbox_id).update(wake_at=now)
        message_state.message(message_id, now)
        return moved

    return write(Move.BY_HAND, run)


def change_sender(message_id: UUID, actor: str, sender: SenderConfig, why: str = "") -> int:
    """Queue what is failed, held or deferred of a message for `sender`; return the deliveries that moved.

    What may have been sent is sent again: only the mailbox that it leaves could tell. Raises
    ContentRemovedError.
    """

    def run() -> int:
        now = clock.now()
        rows = Delivery.objects.filter(message_id=message_id, state__in=MOVABLE).order_by("pk")
        locked = list(rows.select_for_update(of=("self",), no_key=True))
        actions.refuse_without_content(message_id)
        mailbox = mailbox_choice.mailbox_for(sender, Message.objects.get(pk=message_id).header_from)
        moved = 0
        for row in locked:
            mine = Delivery.objects.filter(pk=row.pk, state=row.state, token=row.token)
            columns = {**actions.QUEUED, "attempts": 0, "released_at": now, "next_attempt_at": None}
            doubtful = may_have_been_sent(row)
            columns |= {"sender": sender, "mailbox": mailbox, "lent_by": None, "copy_allowed": doubtful}
            if mine.update(**columns):
                moved += 1
                given = f"Given to the sender “{sender.name}” ({mailbox.address})"
                text = f"{given} {actions.by(actor, why)}."
                if doubtful:
                    text = f"{text} {actions.SECOND}{_left_behind(row, mailbox)}"
                message_state.note(row, text, now, actor)
        if moved:
            Message.objects.filter(pk=message_id).update(sender=sender)
            Mailbox.objects.filter(pk=mailbox.pk).update(wake_at=now)
        message_state.message(message_id, now)
        return moved

    return write(Move.BY_HAND, run)


def _left_behind(row: Delivery, mailbox: Mailbox) -> str:
    """Forget the drafts of a delivery that goes through `mailbox` now, and say where they may lie.

    Whose ids they are, only the mailbox that they are in knows.
    """
    if row.mailbox_id == mailbox.pk:
        return ""
    drafts = SendLog.objects.filter(delivery=row).exclude(draft_id="")
    if not drafts.update(draft_id="", draft_asked=False):
        return ""
    return f" A draft of it may lie in the mailbox {row.mailbox.address}: delete it there."


@dataclass(frozen=True, slots=True)
class _Kept:
    """Content that is in its rows already."""

    id: UUID
    size: int

    def chunks(self, size: int) -> Iterator[bytes]:  # noqa: ARG002 - the rows are short enough
        """Yield the rows as they are."""
        return content.stream(self.id)


def forward(message: Message, actor: str, recipient: str, new_id: UUID, why: str = "") -> bool:
    """Accept the content of `message` as a new one for `recipient` alone, under the queue id `new_id`.

    False when that id has been accepted already. Raises ContentRemovedError.
    """
    if Message.objects.filter(pk=new_id).exists():
        return False
    actions.refuse_without_content(message.pk)
    # What an earlier press left that was cut short is the same content under the same numbers.
    stored = set(ContentChunk.objects.filter(content=new_id).values_list("number", flat=True))
    count = 0
    for count, data in enumerate(content.stream(message.pk), start=1):
        if count - 1 not in stored:
            piece = partial(store_chunks, new_id, [(count - 1, data)], clock.now())
            write(Move.STORE_CHUNK, piece, durable=False)
    if not count:
        raise ContentRemovedError(f"{message.queue_id} cannot be forwarded: its content was removed.")
    write(Move.ACCEPT, partial(_accept, message, (actor, why), recipient, new_id))
    return True


def _accept(message: Message, person: tuple[str, str], recipient: str, new_id: UUID) -> None:
    now = clock.now()
    submission = _submission(message, recipient, new_id)
    box = Store().insert([Arrived(submission, None)])[new_id]
    Mailbox.objects.filter(pk=box).update(wake_at=now)
    for pk, text in (
        (new_id, f"Made from {message.queue_id}, forwarded {actions.by(*person)}."),
        (message.pk, f"Forwarded to {recipient} as {new_id.hex} {actions.by(*person)}."),
    ):
        TimelineEntry.objects.create(message_id=pk, at=now, actor=person[0], text=text)


def _submission(message: Message, recipient: str, new_id: UUID) -> Submission:
    mailbox = message.sender.mailbox
    last = message.deliveries.order_by("pk").first()
    return Submission(
        id=new_id,
        received_at=clock.now(),
        client_id=message.client_id,
        client_key=last.client_key if last else message.client_address,
        client_address=message.client_address,
        client_name=message.client_name,
        mail_from=message.mail_from,
        recipients=(recipient,),
        header_from=message.header_from,
        subject=message.subject,
        message_id=message.message_id,
        sender_id=message.sender_id,
        registration_id=mailbox.registration_id,
        mailbox_address=mailbox_choice.address_for(message.sender, message.header_from),
        content=_Kept(message.pk, message.size),
        urgency=Urgency(last.urgency) if last else Urgency.NORMAL,
        route=Route(last.route) if last else Route.MIME,
    )
