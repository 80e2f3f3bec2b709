"""From a received mail to the submission that is stored, or to the reason why it is not taken."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mailrelay.address_forms import normalise
from mailrelay.mime.headers import HeaderBlock, decode_words, fields_end, storable
from mailrelay.mime.opening import OPENING, read_top
from mailrelay.outbox.submission import NO_DSN_REQUEST, Fingerprint, IdempotencyKey, Submission, new_queue_id
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import policy, replies
from mailrelay.smtp.policy import Resolution
from mailrelay.smtp.received_field import loops, received
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.sizing import routed
from mailrelay.smtp.spool import HEADER_LIMIT, Spool
from mailrelay.smtp.transaction import Peer, Transaction

#: Header bytes up to which a mail is examined in the event loop; a larger header takes a thread.
QUICK_HEADER = 16 * 1024
#: Bytes up to which a mail is surely sent whole, as it is or with all of it encoded again.
QUICK_SIZE, QUICK_UNCLEAN_SIZE = 2_000_000, 1_000_000

_MESSAGE_ID = re.compile(r"<([^<>\s]+)>")
#: What may be the id of one mail alone: `<>`, `<@>` and `(none)` are those of many.
_UNIQUE_ID = re.compile(r"[^\s<>@]+@[^\s<>@]+")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that was received whole."""

    peer: Peer
    client: Client
    transaction: Transaction
    spool: Spool
    hostname: str
    loop_token: str = ""
    repeat: IdempotencyKey | None = None
    #: Recipients that a header may name where it rules.
    max_recipients: int = field(kw_only=True)
    #: The sender that it goes through, whatever its From; None lets the From choose.
    sender_id: int | None = None

    @property
    def client_key(self) -> str:
        """What fairness between clients goes by: an address where the client is none of its own."""
        return key_of(self.client, self.peer)

    @property
    def quick(self) -> bool:
        """Whether examining it takes so little that the event loop can do it."""
        most = QUICK_SIZE if self.spool.clean else QUICK_UNCLEAN_SIZE
        return self.spool.header_size <= QUICK_HEADER and self.spool.size <= most


def key_of(client: Client, peer: Peer) -> str:
    # By HTTP without a row come test mails alone: the person who asked for one is its client.
    return (peer.address if client.id is None and not peer.http else client.name)[:200]


def examine(arrival: Arrival, routing: RoutingTable) -> Submission | Reply:
    """Decide about a mail; pure computation, for the event loop if it is `quick` and a thread otherwise."""
    header = arrival.spool.header
    if len(header) > HEADER_LIMIT and fields_end(header)[1] >= HEADER_LIMIT:
        return replies.HEADER_TOO_LARGE
    headers = HeaderBlock.parse(header)
    if headers.guessed:
        headers = read_top(arrival.spool.read(0, len(header) + OPENING))
    if arrival.sender_id is not None:
        routing = routing.only(arrival.sender_id)
        if not routing.senders:
            return replies.SENDER_ABSENT
    looping = loops(headers, arrival.loop_token)
    if looping is not None:
        return looping
    resolved = policy.resolve(routing, arrival.client, arrival.transaction.mail_from, headers)
    if isinstance(resolved, Reply):
        return resolved
    full = policy.backlogged(routing, resolved.sender, resolved.mailbox_address, arrival.client_key)
    if full is not None:
        return full
    envelope, most = arrival.transaction.recipients, arrival.max_recipients
    recipients = policy.recipients(routing, resolved, arrival.client, headers, envelope, most)
    if isinstance(recipients, Reply):
        return recipients
    again = _fingerprint(arrival, routing, headers, recipients)
    submission = _submission(arrival, headers, resolved, recipients, again)
    return routed(arrival.spool, headers, submission, resolved)


def _submission(
    arrival: Arrival,
    headers: HeaderBlock,
    resolved: Resolution,
    recipients: tuple[str, ...],
    fingerprint: Fingerprint | None,
) -> Submission:
    queue_id, now = new_queue_id(), datetime.now(UTC)
    peer, client, transaction = arrival.peer, arrival.client, arrival.transaction
    arrival.spool.trace(
        received(
            client_name=peer.name,
            client_address=peer.address,
            hostname=arrival.hostname,
            protocol=peer.protocol(utf8=transaction.utf8),
            queue_id=queue_id,
            at=now,
            token=arrival.loop_token,
        )
    )
    return Submission(
        id=queue_id,
        received_at=now,
        client_id=client.id,
        client_key=arrival.client_key,
        client_address=peer.address[:64],
        client_name=peer.name[:255],
        mail_from=transaction.mail_from,
        recipients=recipients,
        header_from=storable(resolved.header_from),
        subject=storable(" ".join(decode_words(headers.get("Subject") or "").split()))[:500],
        message_id=_message_id(headers) or f"{queue_id.hex}@{arrival.hostname}",
        sender_id=resolved.sender.id,
        registration_id=resolved.sender.registration_id,
        mailbox_address=resolved.mailbox_address,
        content=arrival.spool,
        urgency=policy.urgency(headers) if client.urgency is None else client.urgency,
        repeat=arrival.repeat,
        fingerprint=fingerprint,
        dsn_request=replace(transaction.dsn_request, recipients=transaction.recipient_requests)
        if transaction.asks
        else NO_DSN_REQUEST,
    )


def _fingerprint(
    arrival: Arrival, routing: RoutingTable, headers: HeaderBlock, recipients: tuple[str, ...]
) -> Fingerprint | None:
    """Give what a repetition of the mail would be known by; None where its client says that otherwise.

    A mail without a Message-ID of its own may well be meant a second time, and so may one without a date: a
    device that gives one id to all its mail reports the same event twice in the same bytes. Of these only
    other mail with their id is noted (`seconds` is 0).
    """
    seconds, own_id = 60 * routing.repeat_minutes(arrival.client), _message_id(headers)
    if not seconds or arrival.repeat is not None or not own_id:
        return None
    if not (_UNIQUE_ID.fullmatch(own_id) and (headers.get("Date") or "").strip()):
        seconds = 0
    envelope = (normalise(arrival.transaction.mail_from), *sorted(map(normalise, recipients)))
    return Fingerprint.of(arrival.client_key, envelope, arrival.spool.digest(), seconds)


def _message_id(headers: HeaderBlock) -> str:
    value = (headers.get("Message-ID") or "").strip()
    match = _MESSAGE_ID.search(value)
    return storable(match[1] if match else value)[:998]
