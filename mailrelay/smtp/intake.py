"""From a received mail to the submission that is stored, or to the reason why it is not taken."""

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from mailrelay.mime.compose import DIRECT_LIMIT, compose, compose_headers
from mailrelay.mime.compose import HEADER_LIMIT as COMPOSED_HEADER_LIMIT
from mailrelay.mime.headers import HeaderBlock, decode_words, fields_end, storable
from mailrelay.outbox.submission import CHUNK_SIZE, Submission, new_queue_id
from mailrelay.routing.directory import Client, Directory
from mailrelay.smtp import policy, replies
from mailrelay.smtp.policy import Resolution
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.spool import HEADER_LIMIT, Spool
from mailrelay.smtp.trace import loops, received
from mailrelay.smtp.transaction import Peer, Transaction

#: Header bytes up to which a mail is examined in the event loop; a larger header takes a thread.
QUICK_HEADER = 16 * 1024
#: Room for what composing adds to any message: Message-ID, Date, MIME-Version, From, Reply-To.
MARGIN = 8 * 1024
#: What base64 in lines of 76 makes of a byte, rounded up, and what relabelling many parts may add.
BASE64_GROWTH = 1.4
PARTS_MARGIN = 640 * 1024

#: One whole message in memory at a time: several threads would not compose any faster.
_COMPOSING = threading.Lock()
_MESSAGE_ID = re.compile(r"<([^<>\s]+)>")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that was received whole."""

    peer: Peer
    client: Client
    transaction: Transaction
    spool: Spool
    hostname: str

    @property
    def quick(self) -> bool:
        """Whether examining it takes so little that the event loop can do it."""
        known = self.spool.clean and self.spool.size <= DIRECT_LIMIT
        small = self.spool.size * BASE64_GROWTH + PARTS_MARGIN < DIRECT_LIMIT
        return len(self.spool.header) <= QUICK_HEADER and (known or small)


def examine(arrival: Arrival, directory: Directory) -> Submission | Reply:
    """Decide about a mail; pure computation, for the event loop if it is `quick` and a thread otherwise."""
    header = arrival.spool.header
    if len(header) > HEADER_LIMIT and fields_end(header)[1] >= HEADER_LIMIT:
        return replies.HEADER_TOO_LARGE
    headers = HeaderBlock.parse(header)
    if loops(headers):
        return replies.LOOP
    resolved = policy.resolve(directory, arrival.client, arrival.transaction.mail_from, headers)
    if isinstance(resolved, Reply):
        return resolved
    submission = _submission(arrival, headers, resolved)
    return _too_large(arrival.spool, headers, submission, resolved) or submission


def _submission(arrival: Arrival, headers: HeaderBlock, resolved: Resolution) -> Submission:
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
        )
    )
    return Submission(
        id=queue_id,
        received_at=now,
        client_id=client.id,
        client_key=(peer.address if client.id is None else client.name)[:200],
        client_address=peer.address[:64],
        client_name=peer.name[:255],
        mail_from=transaction.mail_from,
        recipients=tuple(transaction.recipients),
        header_from=storable(resolved.header_from),
        subject=storable(" ".join(decode_words(headers.get("Subject") or "").split()))[:500],
        message_id=_message_id(headers) or f"{queue_id.hex}@{arrival.hostname}",
        sender_id=resolved.sender.id,
        registration_id=resolved.sender.registration_id,
        mailbox_address=resolved.mailbox_address,
        content=arrival.spool,
        urgency=policy.urgency(headers),
    )


def _message_id(headers: HeaderBlock) -> str:
    value = (headers.get("Message-ID") or "").strip()
    match = _MESSAGE_ID.search(value)
    return storable(match[1] if match else value)[:998]


def _too_large(
    spool: Spool, headers: HeaderBlock, submission: Submission, resolved: Resolution
) -> Reply | None:
    """Refuse what cannot be sent, by its size as it will be sent."""
    added = sum(len(address.encode()) + 4 for address in submission.recipients) + MARGIN
    most = spool.size + 2 * len(spool.header) + added
    if spool.clean and most <= DIRECT_LIMIT and 3 * len(spool.header) + added <= COMPOSED_HEADER_LIMIT:
        return None
    if most * BASE64_GROWTH + PARTS_MARGIN <= DIRECT_LIMIT and most < COMPOSED_HEADER_LIMIT:
        return None
    size, header_size = _composed(spool, headers, submission, resolved)
    if header_size > COMPOSED_HEADER_LIMIT:
        return Reply(
            f"552 5.3.4 The header of the message would have {header_size} bytes as it is sent; Exchange "
            f"takes {COMPOSED_HEADER_LIMIT}",
            "header-size",
        )
    if size > DIRECT_LIMIT:
        return Reply(
            f"552 5.3.4 The message would have {size} bytes as it is sent to Microsoft Graph; this server "
            f"sends at most {DIRECT_LIMIT}",
            "sendable-size",
        )
    return None


def _composed(
    spool: Spool, headers: HeaderBlock, submission: Submission, resolved: Resolution
) -> tuple[int, int]:
    """How many bytes the message and its header will have when they are sent."""
    message_id = f"<{submission.message_id}>"
    body = spool.size - len(spool.header)
    if spool.clean or body > DIRECT_LIMIT:
        changed = headers.copy()
        compose_headers(
            changed,
            recipients=submission.recipients,
            identity=resolved.identity,
            message_id=message_id,
            date=submission.received_at,
        )
        header_size = spool.trace_size + len(changed.as_bytes())
        return header_size + spool.received - headers.body_offset, header_size
    with _COMPOSING:
        composed = compose(
            b"".join(spool.chunks(CHUNK_SIZE)),
            recipients=submission.recipients,
            identity=resolved.identity,
            message_id=message_id,
            date=submission.received_at,
        )
    return composed.size, composed.header_size
