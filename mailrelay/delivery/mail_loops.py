"""Mail that comes back: Exchange leaves no mark of ours on it, so that its turns are counted.

A forwarding rule or a connector can send what we delivered to us again. Message-ID and recipient survive
that, and whatever comes back has been relayed: it carries a Received field of somebody else's. An application
that gives all its mail one Message-ID hands it in itself, and is not taken for a loop.
"""

from collections import Counter
from datetime import timedelta

from mailrelay.models import Delivery, Message, Recipient

#: Turns within an hour after which the next is held.
MOST_TURNS = 3
WINDOW = timedelta(hours=1)


def circles(delivery: Delivery, header: bytes) -> bool:
    """Whether the mail of `delivery`, whose header block is `header`, was here too often within an hour.

    Asked once, at the first claim: what a person releases is not held for this again.
    """
    return delivery.claims <= 1 and _was_relayed(header) and _turns(delivery) >= MOST_TURNS


def _was_relayed(header: bytes) -> bool:
    # The first Received is our own.
    return header.lower().count(b"\nreceived:") + header[:9].lower().startswith(b"received:") > 1


def _turns(delivery: Delivery) -> int:
    """Count how often this mail was accepted for one of its recipients in the hour before it came."""
    message = delivery.message
    earlier = Message.objects.filter(
        message_id_key=message.message_id_key,
        created_at__gte=message.created_at - WINDOW,
        created_at__lt=message.created_at,
    ).values_list("pk", flat=True)[:1000]
    ids = list(earlier)
    if len(ids) < MOST_TURNS:
        return 0
    mine = list(delivery.recipients.values_list("address_key", flat=True))
    found = Recipient.objects.filter(message__in=ids, address_key__in=mine)
    turns = Counter(found.values_list("address_key", flat=True))
    return max(turns.values(), default=0)
