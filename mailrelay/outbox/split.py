"""Split: where Graph names some recipients of a delivery as invalid, they fail and the rest goes on.

Graph refuses the whole message for one address. Those that it named become a delivery of their own, failed
with what Graph said; a person may mend nothing about them and still see what happened to whom.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import F

from mailrelay.models import Delivery, Recipient
from mailrelay.outbox import blame, follow
from mailrelay.vocabulary import Reason


def part(delivery: Delivery, refused: Iterable[str], text: str, now: datetime) -> bool:
    """Move the `refused` recipients into a failed delivery of their own, in the caller's transaction.

    False, and nothing moves, when they are all that `delivery` has, or none of its own.
    """
    keys = {address.lower() for address in refused}
    recipients = Recipient.objects.filter(delivery=delivery)
    named = recipients.filter(address_key__in=keys)
    addresses = list(named.order_by("pk").values_list("address", flat=True))
    if not addresses or len(addresses) == recipients.count():
        return False
    apart = Delivery.objects.get(pk=delivery.pk)
    apart.pk, apart.token, apart.leased_until = None, None, None
    apart.recipient_count = len(addresses)
    apart.part = 1 + max(Delivery.objects.filter(message=delivery.message_id).values_list("part", flat=True))
    apart.save(force_insert=True)
    named.update(delivery=apart)
    Delivery.objects.filter(pk=delivery.pk).update(recipient_count=F("recipient_count") - len(addresses))
    blame.fail(apart, Reason.REJECTED, text, now)
    follow.note(delivery, f"Goes on without {', '.join(addresses)}, which Graph refused.", now)
    follow.note(apart, text, now)
    return True
