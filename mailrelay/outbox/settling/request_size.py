"""Mail that Graph found too large for one request: the limit is learned, and it takes the other route.

Graph's ceiling for a whole message is 3,145,728 bytes by its documents. Below that only one other was ever
measured, 2,240 kB (https://github.com/microsoftgraph/microsoft-graph-docs/issues/13979), so that one refusal
below the first teaches the second. What was learned is forgotten after a month, in case Microsoft changed it
or the refusal had another cause, and as soon as a larger message is taken whole.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Q

from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Route

log = logging.getLogger(__name__)

#: Bytes to which the limit of a mailbox falls, and never below.
FLOOR = 2_200_000
#: How long a learned limit is believed.
BELIEVED = timedelta(days=30)


def take_large_route(delivery: Delivery, mailbox: Mailbox, text: str, now: datetime) -> bool:
    """Queue a delivery for the large route, if its sender may use that and it was not refused there.

    The limit of the locked mailbox is lowered in any case.
    """
    if delivery.route == Route.LARGE:
        return False
    if delivery.size > FLOOR and mailbox.direct_limit > FLOOR:
        mailbox.direct_limit = FLOOR
        mailbox.direct_limit_learned_at = now
        mailbox.save(update_fields=["direct_limit", "direct_limit_learned_at"])
    if not delivery.sender.sends_large(mailbox):
        return False
    message_state.note(
        delivery, "Too large for one request to Microsoft: it is sent as a draft with uploads.", now
    )
    Delivery.objects.filter(pk=delivery.pk).update(route=Route.LARGE)
    blame.requeue(delivery, text, now)
    return True


def forget_old() -> int:
    """Let mailboxes try again what Graph refused a month ago; return how many there are."""
    old = Mailbox.objects.filter(direct_limit_learned_at__lt=clock.now() - BELIEVED)
    return _forget(Q(pk__in=list(old.values_list("pk", flat=True)))) if old.exists() else 0


def was_taken(mailbox: Mailbox, size: int) -> None:
    """Note that Graph took a message of `size` bytes whole: a lower limit that was learned is wrong."""
    if mailbox.direct_limit_learned_at is not None and size > mailbox.direct_limit:
        _forget(Q(pk=mailbox.pk, direct_limit__lt=size))


def _forget(which: Q) -> int:
    rows = Mailbox.objects.filter(which, direct_limit_learned_at__isnull=False)
    undone = {"direct_limit": Mailbox().direct_limit, "direct_limit_learned_at": None}
    count = write(Move.REGISTER, lambda: rows.update(**undone), durable=False)
    if count:
        log.info("the learned limit of %d mailboxes is forgotten", count)
    return count
