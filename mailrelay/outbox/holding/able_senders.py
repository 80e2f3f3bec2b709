"""Senders whose mail goes now: for mail of the gateway's own, which any of them may carry."""

from datetime import datetime

from django.db.models import Q, QuerySet

from mailrelay.models import SenderConfig
from mailrelay.vocabulary import Reason


def in_use() -> QuerySet[SenderConfig]:
    """Choose the senders that nobody has switched off, with their mailboxes, the default one first."""
    senders = SenderConfig.objects.select_related("mailbox").filter(
        active=True, mailbox__registration__active=True
    )
    return senders.order_by("-is_default", "pk")


def can_send(now: datetime) -> Q:
    """Give the condition on a sender that its mail is neither held nor paused at `now`."""
    resting = Q(mailbox__paused_until__gt=now)
    broken = ~Q(mailbox__blocked=Reason.NONE) | ~Q(mailbox__registration__failing=Reason.NONE)
    return Q(paused_at__isnull=True) & ~resting & ~broken
