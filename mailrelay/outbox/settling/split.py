"""Split: where Graph refuses some recipients of a delivery, they fail and the rest goes on.

Graph refuses the whole message for one address. Those that it named become a delivery of their own, failed
with what Graph said. Where it named nobody, each half of the recipients is tried apart, until the refused one
is alone: nothing was sent by any of the refused requests, and each takes its turn within the limits.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mailrelay.address_forms import normalise
from mailrelay.models import Delivery, Recipient
from mailrelay.outbox.holding import blame
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Reason, State

#: Recipients refused one by one, and nobody taken, after which the rest of a message is not tried any more.
MOST_ALONE = 16


def without_refused(delivery: Delivery, result: Result, now: datetime) -> bool:
    """Set apart who was refused, or may have been, in the caller's transaction; whether the rest goes on."""
    if part(delivery, result.refused, result.text, now):
        return True
    unnamed = result.about_recipient and not _named(delivery, result.refused)
    return unnamed and not delivery.sender.redirect_all_to and halve(delivery, now)


def part(delivery: Delivery, refused: Iterable[str], text: str, now: datetime) -> bool:
    """Move the `refused` recipients into a failed delivery of their own, in the caller's transaction.

    False, and nothing moves, when they are all that `delivery` has, or none of its own.
    """
    named = _named(delivery, refused)
    if not named or len(named) == delivery.recipients.count():
        return False
    apart = _apart(delivery, named)
    blame.fail(apart, Reason.REJECTED, text, now)
    addresses = ", ".join(recipient.address for recipient in named)
    message_state.note(delivery, f"Goes on without {addresses}, which Graph refused.", now)
    message_state.note(apart, text, now)
    return True


def halve(delivery: Delivery, now: datetime) -> bool:
    """Move half of the recipients into a delivery of their own, which waits.

    False when there is but one, and when so many were refused alone that it is no matter of recipients.
    """
    recipients = list(delivery.recipients.order_by("pk"))
    if len(recipients) < 2 or _is_refused_throughout(delivery):
        return False
    apart = _apart(delivery, recipients[len(recipients) // 2 :])
    blame.requeue(apart, "", now)
    text = (
        f"Graph refused a recipient and did not say which of {len(recipients)}: they are tried in two halves."
    )
    message_state.note(delivery, text, now)
    message_state.note(apart, text, now)
    return True


def _is_refused_throughout(delivery: Delivery) -> bool:
    parts = Delivery.objects.filter(message=delivery.message_id)
    alone = parts.filter(recipient_count=1, state=State.FAILED, reason=Reason.REJECTED)
    return alone.count() >= MOST_ALONE and not parts.filter(state=State.SENT).exists()


def _named(delivery: Delivery, refused: Iterable[str]) -> list[Recipient]:
    """List the recipients of `delivery` that are among `refused`, in whatever spelling."""
    keys = frozenset(map(normalise, refused))
    if not keys:
        return []
    return [row for row in delivery.recipients.order_by("pk") if normalise(row.address) in keys]


def _apart(delivery: Delivery, recipients: Sequence[Recipient]) -> Delivery:
    """Give `recipients` a delivery of their own, like the one that they leave."""
    apart = Delivery.objects.get(pk=delivery.pk)
    apart.pk, apart.token, apart.leased_until, apart.claims = None, None, None, 0
    apart.recipient_count, apart.own_message_id = len(recipients), ""
    apart.part = 1 + max(Delivery.objects.filter(message=delivery.message_id).values_list("part", flat=True))
    apart.save(force_insert=True)
    Recipient.objects.filter(pk__in=[row.pk for row in recipients]).update(delivery=apart)
    left = delivery.recipients.count()
    Delivery.objects.filter(pk=delivery.pk).update(recipient_count=left)
    return apart
