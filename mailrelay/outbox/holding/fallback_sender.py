"""Fallback sender: while a sender's mail is held for a broken configuration, another sender may send it.

What may have been sent already never moves: only its own mailbox can tell, and a second copy would come from
another address.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from mailrelay.models import Delivery, Mailbox, SenderConfig, SendLog
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import configuration_holds, mailbox_choice
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Outcome, Reason, State

#: Deliveries behind one mailbox that one look deals with, and mailboxes.
BATCH = 200
MAILBOXES = 20
HELD = Q(state=State.HELD, reason__in=configuration_holds.REASONS)
#: What another sender has, with constants: without them SQLite does not use the index of it.
LENT = RawSQL(
    "mailrelay_delivery.lent_by_id IS NOT NULL "
    "AND mailrelay_delivery.state IN ('queued', 'deferred', 'held')",
    (),
    output_field=BooleanField(),
)
#: What may go back to its own sender: waiting, or held for what is the matter with the one that stands in.
RETURNABLE = (
    Q(state__in=[State.QUEUED, State.DEFERRED])
    | HELD
    | Q(state=State.HELD, reason__in=configuration_holds.OF_SENDER)
)

#: Where the look at each mailbox goes on: what nobody can send must not stand before the rest for ever.
_place: dict[int, int] = {}


@dataclass(frozen=True, slots=True)
class Way:
    """As whom, and through which mailbox."""

    sender: SenderConfig
    mailbox: Mailbox


def stuck() -> Iterator[Delivery]:
    """Give what is held behind broken mailboxes and has somebody who might send it: a batch of each."""
    backed = SenderConfig.objects.filter(active=True, paused_at__isnull=True, fallback__isnull=False)
    if not backed.exists():
        return
    broken = ~Q(blocked=Reason.NONE) | Q(registration__failing__in=configuration_holds.OF_REGISTRATION)
    rows = _certain(Delivery.objects.filter(HELD, sender__in=backed, lent_by__isnull=True))
    boxes = Mailbox.objects.filter(broken, registration__in=backed.values("mailbox__registration"))
    for box in boxes.filter(Exists(rows.filter(mailbox=OuterRef("pk"))))[:MAILBOXES]:
        after = _place.get(box.pk, 0)
        batch = list(_related(rows.filter(mailbox=box, pk__gt=after)).order_by("pk")[:BATCH])
        _place[box.pk] = batch[-1].pk if len(batch) == BATCH else 0
        yield from batch


def on_fallback() -> Iterator[Delivery]:
    """Give what another sender has and nobody has in hand: a batch."""
    rows = _certain(Delivery.objects.filter(LENT).filter(RETURNABLE))
    after = _place.get(0, 0)
    batch = list(_related(rows.filter(pk__gt=after)).order_by("pk")[:BATCH])
    _place[0] = batch[-1].pk if len(batch) == BATCH else 0
    yield from batch


def home_of(delivery: Delivery) -> Way:
    """Give whose mail a delivery is, and the mailbox that it would go through."""
    if delivery.lent_by is None:
        return Way(delivery.sender, delivery.mailbox)
    owner = delivery.lent_by
    address = mailbox_choice.address_for(owner, delivery.message.header_from)
    if address == owner.mailbox.address:
        return Way(owner, owner.mailbox)
    boxes = Mailbox.objects.filter(registration=owner.mailbox.registration).select_related("registration")
    return Way(owner, boxes.filter(address=address).first() or owner.mailbox)


def wants_probe(mailbox: Mailbox) -> bool:
    """Whether a broken mailbox may be tried again, and has nothing to be tried with."""
    now, registration = clock.now(), mailbox.registration
    times = [mailbox.probe_at] if mailbox.blocked else []
    times += [registration.retry_at] if registration.failing else []
    if not times or any(at is not None and at > now for at in times):
        return False
    states = [State.QUEUED, State.RESERVED, State.SENDING]
    return not Delivery.objects.filter(HELD | Q(state__in=states), mailbox=mailbox).exists()


def move(delivery: Delivery, way: Way, why: str) -> bool:
    """Give a delivery to another sender, or back to its own; False when it was not as it is here any more."""
    owner = delivery.lent_by or delivery.sender
    lent_by = None if way.sender.pk == owner.pk else owner

    def run() -> bool:
        now = clock.now()
        mine = Delivery.objects.filter(pk=delivery.pk, state=delivery.state, sender=delivery.sender_id)
        columns: dict[str, Any] = {"sender": way.sender, "mailbox": way.mailbox, "lent_by": lent_by}
        if delivery.state == State.HELD:
            columns |= {"state": State.QUEUED, "reason": Reason.NONE, "released_at": now}
        if not _certain(mine).update(**columns):
            return False
        message_state.note(
            delivery, f"Goes through the sender “{way.sender.name}” ({way.mailbox.address}): {why}", now
        )
        message_state.message(delivery.message_id, now)
        Mailbox.objects.filter(pk=way.mailbox.pk).update(wake_at=now)
        return True

    return write(Move.LEND, run)


def _certain(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Leave only what was certainly not sent, and what left no draft behind."""
    doubtful = Q(outcome__in=["", Outcome.UNCERTAIN]) | ~Q(draft_id="") | Q(draft_asked=True)
    return rows.exclude(Exists(SendLog.objects.filter(doubtful, delivery=OuterRef("pk"))))


def _related(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return rows.select_related("message", "sender", "mailbox__registration", "lent_by__mailbox__registration")
