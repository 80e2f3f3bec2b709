"""A fallback sender: who sends mail while its own sender is held for a broken configuration.

It goes with the From that the other's policy gives it; what that policy refuses stays where it is. It comes
back when its own mailbox is fixed, and one by one while that has to be tried again.
"""

from mailrelay.delivery.plan import identity_of
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import refusal, shown_agents
from mailrelay.models import Delivery, SenderConfig
from mailrelay.outbox.holding import configuration_holds, fallback_sender
from mailrelay.outbox.holding.fallback_sender import Way
from mailrelay.outbox.keeping import content
from mailrelay.routing import fallbacks
from mailrelay.vocabulary import Route

FIXED = "it sends its own mail again."
PROBE = "whether it is fixed is tried with this mail."
NOBODY = "nobody else may send it now."


def look() -> int:
    """Move what is held to who stands in for its sender, and back; return how many deliveries moved."""
    return sum(map(_lend, fallback_sender.stuck())) + sum(map(_return, fallback_sender.on_fallback()))


def _lend(delivery: Delivery) -> bool:
    return _through_other(delivery, fallback_sender.home_of(delivery))


def _return(delivery: Delivery) -> bool:
    home = fallback_sender.home_of(delivery)
    if not configuration_holds.of(home.mailbox):
        return fallback_sender.move(delivery, home, FIXED)
    if _rests(home.sender):
        return fallback_sender.move(delivery, home, NOBODY)
    if fallback_sender.wants_probe(home.mailbox):
        return fallback_sender.move(delivery, home, PROBE)
    return not _able(delivery.sender, delivery, home.sender) and (
        _through_other(delivery, home) or fallback_sender.move(delivery, home, NOBODY)
    )


def _through_other(delivery: Delivery, home: Way) -> bool:
    """Give a delivery to the first in the chain that may and can send it; False where there is none."""
    for other in fallbacks.chain(home.sender):
        if other.pk != delivery.sender_id and _able(other, delivery, home.sender):
            reason = configuration_holds.text_of(home.mailbox)
            why = f"that of its own sender “{home.sender.name}” is held. {reason}"
            return fallback_sender.move(delivery, Way(other, other.mailbox), why)
    return False


def _rests(sender: SenderConfig) -> bool:
    """Whether a person keeps a sender from sending."""
    return not sender.active or sender.paused_at is not None


def _able(other: SenderConfig, delivery: Delivery, owner: SenderConfig) -> bool:
    box = other.mailbox
    if _rests(other) or not box.registration.active or configuration_holds.of(box):
        return False
    if fallbacks.problem(owner, other):
        return False
    if delivery.recipient_count > box.recipients_per_message or delivery.size > box.max_message_size:
        return False
    if delivery.route == Route.LARGE and not other.sends_large(box):
        return False
    head = next(content.stream(delivery.message_id), None)
    if head is None:
        return False
    return _takes(other, owner, HeaderBlock.parse(head), delivery.message.header_from)


def _takes(other: SenderConfig, owner: SenderConfig, headers: HeaderBlock, header_from: str) -> bool:
    """Whether the policy of `other` takes the From, and shows no sender beside it that `owner` would not.

    The client's list was held against those whom its own sender shows.
    """
    mine, theirs = (identity_of(sender, sender.mailbox.address) for sender in (owner, other))
    if refusal(headers, theirs, header_from) is not None:
        return False
    allowed = shown_agents(headers, mine, header_from)
    return all(agent in allowed for agent in shown_agents(headers, theirs, header_from))
