"""Mail that Graph found too large for one request: the limit is learned, and it takes the other route.

Graph's ceiling for a whole message is 3,145,728 bytes by its documents. Below that only one other was ever
measured, 2,240 kB (https://github.com/microsoftgraph/microsoft-graph-docs/issues/13979), so that one refusal
below the first teaches the second.
"""

from datetime import datetime

from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox import blame, follow
from mailrelay.vocabulary import Route

#: Bytes to which the limit of a mailbox falls, and never below.
FLOOR = 2_200_000


def fall_over(delivery: Delivery, mailbox: Mailbox, text: str, now: datetime) -> bool:
    """Queue a delivery for the large route, if its sender may use that and it was not refused there.

    The limit of the locked mailbox is lowered in any case.
    """
    if delivery.route == Route.LARGE:
        return False
    if delivery.size > FLOOR and mailbox.direct_limit > FLOOR:
        mailbox.direct_limit = FLOOR
        mailbox.save(update_fields=["direct_limit"])
    if not delivery.sender.sends_large(mailbox):
        return False
    follow.note(delivery, "Too large for one request to Microsoft: it is sent as a draft with uploads.", now)
    Delivery.objects.filter(pk=delivery.pk).update(route=Route.LARGE)
    blame.requeue(delivery, text, now)
    return True
