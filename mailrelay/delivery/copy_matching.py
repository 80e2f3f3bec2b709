"""Decides whose a copy in Sent Items is: the Message-ID alone does not tell.

The parts of a split message share it, so do the transactions of one mail, and there are applications with one
Message-ID for all. Who takes another's copy for a delivery's own loses that one's mail; who does not know its
own makes a second copy at worst. So what counts is a copy made since the attempt began, addressed to just the
recipients of its delivery, and beyond those that other attempts may have left there.
"""

from datetime import timedelta

from django.db.models import Q, QuerySet

from mailrelay.address_forms import normalise
from mailrelay.delivery.plan import recipients_of
from mailrelay.graph import folders
from mailrelay.graph.calls import Caller, Response
from mailrelay.models import Delivery, SendLog
from mailrelay.models.attempts import THROTTLED
from mailrelay.vocabulary import Outcome

#: How far Graph's clock may be from ours before a copy of this attempt is not known as such.
CLOCKS = timedelta(minutes=5)
#: How long before this attempt another may have ended and still have left what seems to be made since: more
#: than clocks differ by, since this is the side on which mail would be lost.
BEFORE = timedelta(hours=1)
#: Attempts of the same Message-ID that are told apart; where there are more, nothing is concluded.
MOST_OTHERS = 200


def found(caller: Caller, delivery: Delivery, attempt: SendLog) -> tuple[bool | None, Response]:
    """Whether Sent Items shows what `attempt` sent of `delivery`; None without an answer.

    False says no more than that nothing there is certain to be its own.
    """
    key = f"<{delivery.sent_under}>"
    items, response = folders.find(caller, folders.SENT_ITEMS, key, addressed=True)
    if items is None:
        return None, response
    people, since = _people(delivery), attempt.started_at - CLOCKS
    own = [
        item
        for item in items
        if item.created_at is not None
        and item.created_at > since
        and frozenset(map(normalise, item.recipients)) == people
    ]
    return bool(own) and len(own) > _left_by_others(delivery, attempt, people), response


def in_doubt(attempt: SendLog) -> bool:
    """Whether a copy under the Message-ID of `attempt` may still have to tell what became of another."""
    doubtful = _sharing(attempt).filter(outcome__in=["", Outcome.UNCERTAIN])
    return doubtful.exclude(delivery=attempt.delivery_id).exists()


def _people(delivery: Delivery) -> frozenset[str]:
    return frozenset(map(normalise, recipients_of(delivery)))


def _left_by_others(delivery: Delivery, attempt: SendLog, people: frozenset[str]) -> int:
    """Count the attempts that may have left a copy with the same recipients since `attempt` began.

    Earlier ones of the same delivery without an answer are not among them: whichever of them sent the mail,
    it was sent.
    """
    before = attempt.started_at - BEFORE
    others = _sharing(attempt).filter(Q(finished_at=None) | Q(finished_at__gt=before))
    others = others.filter(Q(outcome__in=["", Outcome.SENT, Outcome.UNCERTAIN]) | THROTTLED)
    others = others.exclude(delivery=delivery, outcome__in=[Outcome.UNCERTAIN, Outcome.TRANSIENT])
    rows = list(others.select_related("delivery__sender")[:MOST_OTHERS])
    if len(rows) == MOST_OTHERS:
        return MOST_OTHERS
    return sum(_people(row.delivery) == people for row in rows)


def _sharing(attempt: SendLog) -> QuerySet[SendLog]:
    """The other attempts under the same Message-ID."""
    others = SendLog.objects.exclude(pk=attempt.pk)
    if attempt.delivery.own_message_id:
        return others.filter(delivery=attempt.delivery_id)
    key = attempt.message.message_id_key
    return others.filter(message__message_id_key=key, delivery__own_message_id="")
