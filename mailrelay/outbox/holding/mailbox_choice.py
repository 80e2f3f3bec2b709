"""Through which mailbox a sender's mail goes.

Another mailbox for a sender takes what waits with it, but for what only the old one can tell about: what may
have been sent stays, whatever it waits for by now.
"""

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from mailrelay.address_forms import normalise
from mailrelay.models import Delivery, Mailbox, SenderConfig, SendLog
from mailrelay.vocabulary import FromPolicy, Outcome, State

#: Deliveries that nobody has in hand, and that still want to be sent.
WAITING = (State.QUEUED, State.DEFERRED, State.HELD, State.UNCERTAIN)


def address_for(sender: SenderConfig, header_from: str) -> str:
    """Return the address of the mailbox that a mail of `sender` goes through, as when it is accepted."""
    if sender.from_policy == FromPolicy.OWN_MAILBOX:
        own = normalise(header_from)
        if own in sender.address_list or own.rpartition("@")[2] in sender.domain_list:
            return own
    return sender.mailbox.address


def mailbox_for(sender: SenderConfig, header_from: str) -> Mailbox:
    """Return that mailbox, which is made where no mail went through it before."""
    address, own = address_for(sender, header_from), sender.mailbox
    if address == own.address:
        return own
    return Mailbox.objects.get_or_create(registration=own.registration, address=address)[0]


def move_waiting(sender: SenderConfig) -> int:
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
    """Choose what waits, without what may have been sent and whose mailbox can tell what became of it."""
    later = SendLog.objects.filter(delivery=OuterRef("delivery"), number__gt=OuterRef("number"))
    last = SendLog.objects.filter(~Exists(later), delivery=OuterRef("pk"), outcome=Outcome.UNCERTAIN)
    readable = Q(mailbox__can_read=True)
    told = Exists(last.exclude(draft_id="")) | (readable & (Q(state=State.UNCERTAIN) | Exists(last)))
    return Delivery.objects.filter(~told, state__in=WAITING, sender=sender)


def _follow_registration(sender: SenderConfig, own: QuerySet[Delivery]) -> int:
    registration, moved = sender.mailbox.registration, 0
    elsewhere = own.exclude(mailbox__registration=registration)
    for address in set(elsewhere.values_list("mailbox__address", flat=True)):
        box, _ = Mailbox.objects.get_or_create(registration=registration, address=address)
        moved += elsewhere.filter(mailbox__address=address).update(mailbox=box)
    return moved
