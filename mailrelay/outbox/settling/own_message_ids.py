"""A Message-ID of its own for a delivery, where another one was submitted under the id of its message.

The parts of a split message share an id, so do the transactions of one mail, and some applications have one
for all of theirs. Exchange is reported to drop a second submission of one id, or to refuse it; no document
says when. The id of the message moves to References then, so that readers keep a conversation together.
"""

import re
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from mailrelay.models import Delivery, SendLog
from mailrelay.models.attempts import THROTTLED
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Outcome

_OWN = re.compile(r"\d{1,20}-\d{1,10}\.([0-9a-f]{32})@")
#: Attempts that may have submitted their mail without a word of Graph; of throttled ones that is reported.
DOUBTFUL = Q(outcome__in=["", Outcome.UNCERTAIN]) | (Q(outcome=Outcome.TRANSIENT) & THROTTLED)
PROOF = (
    "Exchange has this mail already, though Graph had not said so: an earlier attempt sent it, and no second "
    "copy was made."
)


def was_sent(delivery: Delivery) -> bool:
    """Whether a refusal of `delivery` as a duplicate proves that an earlier attempt sent it.

    That is when one may have, and nothing else that is on record may have been submitted under this id.
    """
    mine = SendLog.objects.filter(delivery=delivery)
    if is_sent_anew(delivery) or not mine.filter(DOUBTFUL).exists():
        return False
    if delivery.own_message_id:
        return True
    key = delivery.message.message_id_key
    others = SendLog.objects.filter(message__message_id_key=key, delivery__own_message_id="")
    return not others.exclude(delivery=delivery).filter(DOUBTFUL | Q(outcome=Outcome.SENT)).exists()


def is_sent_anew(delivery: Delivery) -> bool:
    """Whether a person has what was sent sent once more."""
    return SendLog.objects.filter(delivery=delivery, outcome=Outcome.SENT).exists()


def give(delivery: Delivery, now: datetime) -> None:
    """Give `delivery` an id of its own, in the caller's transaction."""
    domain = delivery.mailbox.address.rpartition("@")[2]
    delivery.own_message_id = f"{delivery.pk}-{delivery.claims}.{delivery.message_id.hex}@{domain}"
    Delivery.objects.filter(pk=delivery.pk).update(own_message_id=delivery.own_message_id)
    text = (
        "Another mail went out under the Message-ID of this one, so that Exchange might take this for a "
        f"duplicate: it has the Message-ID <{delivery.own_message_id}> and refers to its former one."
    )
    message_state.note(delivery, text, now)


def message_of(message_id: str) -> UUID | None:
    """Return the message that has a delivery with this id of its own; None where the id is no such one."""
    found = _OWN.match(message_id)
    return UUID(hex=found[1]) if found else None


def give_where_wanted(delivery: Delivery) -> None:
    """Give `delivery` an id of its own before its first try, if its sender wants that and it shares one."""
    if not delivery.sender.own_message_ids or delivery.own_message_id:
        return
    if SendLog.objects.filter(delivery=delivery).exists() or not _is_second(delivery):
        return
    write(Move.DRAFT, lambda: give(delivery, clock.now()))


def _is_second(delivery: Delivery) -> bool:
    """Whether an earlier delivery through the same mailbox has the Message-ID of this one."""
    same = Delivery.objects.filter(message__message_id_key=delivery.message.message_id_key)
    return same.filter(mailbox=delivery.mailbox_id, pk__lt=delivery.pk).exists()
