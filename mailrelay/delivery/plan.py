"""Composes the mail and chooses its route: whole in one request, or as a draft and uploads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailrelay.mime.compose import DIRECT_LIMIT, Composed, compose
from mailrelay.mime.identity import Identity
from mailrelay.mime.skeleton import Skeleton, take_apart
from mailrelay.models import Delivery, SenderConfig
from mailrelay.outbox.db import statements
from mailrelay.outbox.errors import ContentNotWholeError, ContentRemovedError
from mailrelay.outbox.keeping import content
from mailrelay.vocabulary import FromPolicy, Invitations, LargeText, Route, known_word

#: Bytes of a message as received that are composed as a whole; what is larger cannot shrink to fit.
MOST_WHOLE = DIRECT_LIMIT + 1_048_576
ADDRESSED = "SELECT address FROM mailrelay_recipient WHERE delivery_id = %s ORDER BY id"


class NoRouteError(Exception):
    """Neither route carries this mail as things are; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A delivery ready to be sent; `content` is where the leaves of the large route are read from."""

    route: Route
    mail: Composed
    content: "content.Reader | None" = field(default=None, repr=False)
    skeleton: Skeleton | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes to send, before base64."""
        leaves = self.skeleton.leaves if self.skeleton else ()
        return self.mail.size + sum(leaf.size for leaf in leaves)

    @property
    def losses(self) -> tuple[str, ...]:
        """What is known to be lost or changed of the mail beyond its recipients and From, as sentences."""
        if self.skeleton is None:
            return self.mail.losses
        apart = f"{len(self.skeleton.leaves)} files travel apart: bytes, names, types and content ids stay."
        return (*self.skeleton.changes, *([apart] if self.skeleton.leaves else []))

    @property
    def memory(self) -> int:
        """Bytes that what was composed keeps in memory: whole buffers, of which it shows parts."""
        buffers: dict[int, int] = {}
        for part in self.mail.parts:
            whole = memoryview(part).obj
            buffers[id(whole)] = memoryview(whole).nbytes
        return sum(buffers.values())


def plan(delivery: Delivery) -> Plan:
    """Read a delivery's mail, make it fit to be sent, and choose its route.

    Raises ContentRemovedError, NoRouteError, NotSeparableError where it cannot be taken apart, and
    InvitationError.
    """
    if delivery.message.content_removed_at is not None:
        raise ContentRemovedError("The content of this message has been removed.")
    able = delivery.sender.sends_large(delivery.mailbox)
    if delivery.size <= MOST_WHOLE and not (able and delivery.route == Route.LARGE):
        raw = content.read(delivery.message_id)
        _refuse_partial(delivery, len(raw))
        mail = composed(delivery, raw)
        fits = mail.size <= min(delivery.mailbox.direct_limit, DIRECT_LIMIT)
        # Who has no other route has nothing to lose by asking for more than was taken before.
        if fits or (not able and mail.size <= DIRECT_LIMIT):
            return Plan(Route.MIME, mail)
    if not able:
        raise NoRouteError(
            f"The message is larger than {DIRECT_LIMIT} bytes, and the sender {delivery.sender.name} cannot "
            "send such mail now. Grant the application Mail.ReadWrite in the mailbox "
            f"{delivery.mailbox.address} and switch large mail on for the sender."
        )
    reader = content.Reader(delivery.message_id)
    _refuse_partial(delivery, reader.size)
    limit = min(delivery.mailbox.direct_limit, DIRECT_LIMIT)
    large_text = known_word(LargeText, delivery.sender.large_text, "large_text")
    skeleton = take_apart(reader, limit, lambda raw: composed(delivery, raw), large_text)
    return Plan(Route.LARGE, skeleton.mail, reader, skeleton)


def _refuse_partial(delivery: Delivery, found: int) -> None:
    """Raise ContentNotWholeError unless all the bytes that were accepted were found."""
    if found != delivery.message.size:
        raise ContentNotWholeError(found, delivery.message.size)


def composed(delivery: Delivery, raw: bytes) -> Composed:
    """Make `raw`, a delivery's mail or its skeleton, fit to be sent."""
    message = delivery.message
    return compose(
        raw,
        recipients=recipients_of(delivery),
        identity=identity_of(delivery.sender, delivery.mailbox.address),
        header_from=message.header_from,
        message_id=f"<{message.message_id}>",
        date=message.created_at,
        invitations=known_word(Invitations, delivery.sender.invitations, "invitations"),
        own_id=f"<{delivery.own_message_id}>" if delivery.own_message_id else "",
    )


def recipients_of(delivery: Delivery) -> Sequence[str]:
    if delivery.sender.redirect_all_to:
        return [delivery.sender.redirect_all_to]
    return [address for (address,) in statements.every(ADDRESSED, delivery.pk)]


def identity_of(sender: SenderConfig, mailbox_address: str) -> Identity:
    return Identity(
        policy=known_word(FromPolicy, sender.from_policy, "from_policy"),
        mailbox_address=mailbox_address,
        addresses=sender.address_list,
        domains=sender.domain_list,
        rewrite_signed=sender.rewrite_signed,
    )
