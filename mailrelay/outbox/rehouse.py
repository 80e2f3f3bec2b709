"""Another mailbox for a sender: what waits goes through it, but for what only the old one can tell of."""

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from mailrelay.models import Delivery, Mailbox, SenderConfig, SendLog
from mailrelay.vocabulary import FromPolicy, State

#: Deliveries that nobody has in hand, and that still want to be sent.
WAITING = (State.QUEUED, State.DEFERRED, State.HELD)


def follow(sender: SenderConfig) -> int:
    """Let what waits go through the mailbox that `sender` has now; return how many deliveries moved.

    In the caller's transaction. What goes through the mailbox of its own From keeps that address, under the
    registration that the sender has now.
    """
    moved = 0
    waiting = _waiting(sender)
    if sender.from_policy == FromPolicy.OWN_MAILBOX:
        own = waiting.filter(mailbox__address=F("message__from_key"))
        moved += _follow_registration(sender, own)
        waiting = waiting.exclude(pk__in=own.values("pk"))
    return moved + waiting.exclude(mailbox=sender.mailbox_id).update(mailbox=sender.mailbox_id)


def _waiting(sender: SenderConfig) -> QuerySet[Delivery]:
    """Choose what waits; uncertain mail only where its mailbox cannot tell what became of it."""
    drafted = Exists(SendLog.objects.filter(delivery=OuterRef("pk")).exclude(draft_id=""))
    blind = Q(state=State.UNCERTAIN) & ~Q(mailbox__can_read=True) & ~drafted
    return Delivery.objects.filter(Q(state__in=WAITING) | blind, sender=sender)


def _follow_registration(sender: SenderConfig, own: QuerySet[Delivery]) -> int:
    registration, moved = sender.mailbox.registration, 0
    elsewhere = own.exclude(mailbox__registration=registration)
    for address in set(elsewhere.values_list("mailbox__address", flat=True)):
        box, _ = Mailbox.objects.get_or_create(registration=registration, address=address)
        moved += elsewhere.filter(mailbox__address=address).update(mailbox=box)
    return moved
