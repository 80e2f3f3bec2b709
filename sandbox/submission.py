"""The synchronous half of sending, where JSON, MIME and drafts meet: whose mail, to whom, into the store."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox import transport
from sandbox.calendars import invited
from sandbox.call import Call, Refusal
from sandbox.head import Head, decoded, is_address, read_head
from sandbox.store import Delivered, Item

if TYPE_CHECKING:
    from sandbox.world import Mailbox

RECIPIENT_FIELDS = ("to", "cc", "bcc")
# What the service makes up for a message without an identifier has this shape.
GENERATED = "<{}@sandbox.prod.outlook.test>"


@dataclass(slots=True)
class Mail:
    """A message about to be sent; `message_id` is what Sent Items will show."""

    mime: bytes
    head: Head
    sender: str
    recipients: list[tuple[str, str]]
    message_id: str
    route: str


def examine(call: Call, mime: bytes, route: str, source: bytes = b"") -> Mail:
    """Read `mime` as Exchange does before it answers; raises Refusal for what it would not send.

    `source` is the MIME that a client made, in which a calendar decides who gets the mail.
    """
    head = header_of(call, mime)
    recipients = recipients_of(call, head)
    if call.sandbox.world.behaviour.calendar_decides and (people := invited(source)):
        recipients = [("to", address) for address in people]
    return Mail(mime, head, sender_of(call, head), recipients, identifier_of(call, head), route)


def check_size(call: Call, size: int) -> None:
    """Raise Refusal for a message of `size` bytes when the mailbox takes no such one."""
    most = call.sandbox.world.limits.message_bytes
    if most and size > most:
        raise Refusal(
            400,
            "ErrorMessageSizeExceeded",
            "The message exceeds the maximum supported size., Cannot save changes made to an item to store.",
        )


def header_of(call: Call, mime: bytes) -> Head:
    try:
        head = read_head(mime)
    except ValueError as error:
        raise Refusal(400, "ErrorMimeContentInvalid", f"MIME content is invalid: {error}.") from error
    most = call.sandbox.world.limits.header_bytes
    if most and head.end > most:
        raise Refusal(400, "ErrorMimeContentInvalid", "The header of the MIME content is too large.")
    return head


def recipients_of(call: Call, head: Head) -> list[tuple[str, str]]:
    """Everybody in To, Cc and Bcc, each address once: Graph knows no other envelope."""
    found: dict[str, str] = {}
    refused = {address.lower() for address in call.sandbox.world.behaviour.refused_recipients}
    for kind in RECIPIENT_FIELDS:
        for name, address in head.addresses(kind):
            if not is_address(address) or address.lower() in refused:
                raise _unresolved(call, name, address)
            found.setdefault(address.lower(), kind)
    if not found:
        raise Refusal(
            400,
            "ErrorInvalidRecipients",
            "At least one recipient is not valid., A message can't be sent because it contains no "
            "recipients.",
        )
    return [(kind, address) for address, kind in found.items()]


def _unresolved(call: Call, name: str, address: str) -> Refusal:
    named = call.sandbox.world.behaviour.refusal_text.replace("{address}", address)
    return Refusal(
        400,
        "ErrorInvalidRecipients",
        f"At least one recipient is not valid., {named.replace('{name}', name or address)} "
        "All recipients must be resolved before a message can be submitted.",
    )


def sender_of(call: Call, head: Head) -> str:
    """The address that the mail will come from: the mailbox's primary one, or one that it may send as."""
    mailbox = owner(call)
    authors = head.addresses("from") or [("", mailbox.address)]
    address = authors[0][1].lower()
    if address in (mailbox.address, mailbox.upn.lower()) or address in map(str.lower, mailbox.aliases):
        return mailbox.address
    other = call.sandbox.world.owner(address)
    if other is not None and other.address in map(str.lower, mailbox.send_as):
        return other.address
    raise Refusal(
        403,
        "ErrorSendAsDenied",
        "The user account which was used to submit this request does not have the right to send mail on "
        "behalf of the specified sending account., Cannot submit message.",
    )


def identifier_of(call: Call, head: Head) -> str:
    given = head.first("message-id")
    if given and not call.sandbox.world.behaviour.rewrite_message_id:
        return given
    return GENERATED.format(uuid.uuid4())


def owner(call: Call) -> Mailbox:
    assert call.mailbox is not None
    return call.mailbox


def send(call: Call, mail: Mail, *, save: bool = True, immutable_id: str = "") -> Item | None:
    """Deliver `mail` (twice under the duplicate fault), keep the copy in Sent Items, fill in the ledger.

    Nothing in here waits, so that the ledger's line and the delivery are one step.
    """
    sandbox, mailbox = call.sandbox, owner(call)
    addresses = {address for _, address in mail.recipients}
    subject = mail.head.first("subject")
    reason = transport.rejection(sandbox, mailbox, mail.sender, addresses)
    lost = sorted(addresses) if reason else transport.unknown_recipients(sandbox, addresses)
    if lost:
        original = transport.Original(decoded(subject), mail.head.first("message-id") or mail.message_id)
        transport.report(sandbox, mailbox, original, lost, reason or transport.UNKNOWN)
    copies = 0 if _is_dropped(call, mail) else 2 if call.has_fault("duplicate") else 1
    digest = hashlib.sha256(mail.mime).hexdigest()
    numbers = [_deliver(call, mail, digest, subject, lost) for _ in range(copies)] if not reason else []
    call.facts |= {
        "internet_message_id": mail.head.first("message-id") or mail.message_id,
        "recipients": sorted(addresses),
        "sha256": digest,
        "size": len(mail.mime),
        "deliveries": numbers,
        "undeliverable": lost,
    }
    return _keep(call, mail, subject, immutable_id) if save else None


def _is_dropped(call: Call, mail: Mail) -> bool:
    """Whether a mail is dropped for its Message-ID; raises Refusal where it is refused for that."""
    mode, known = call.sandbox.world.behaviour.second_submission, call.sandbox.store.submitted
    if mode == "deliver":
        return False
    key = (owner(call).id, (mail.head.first("message-id") or mail.message_id).lower())
    if key not in known:
        known.add(key)
        return False
    if mode == "refuse":
        raise Refusal(
            500,
            "ErrorInternalServerError",
            "Cannot submit message., StoragePermanentException.MapiExceptionDuplicateDelivery: Unable to "
            "submit message.",
        )
    return True


def _deliver(call: Call, mail: Mail, digest: str, subject: str, lost: list[str]) -> int:
    sandbox, mailbox, now = call.sandbox, owner(call), time.time()
    delivered = Delivered(
        number=sandbox.ledger.next_delivery(),
        time=now,
        deliver_at=sandbox.sending.deliver_at(mailbox.id, now, sandbox.world.limits.messages_per_minute),
        app=call.app_id or "",
        mailbox=mailbox.address,
        route=mail.route,
        raw=mail.mime,
        sha256=digest,
        sender=mail.sender,
        subject_raw=subject,
        message_id=mail.head.first("message-id") or mail.message_id,
        assigned_message_id=mail.message_id,
        recipients=mail.recipients,
        known_headers=sandbox.store.known_headers[mailbox.id],
        keep_unknown_headers=sandbox.world.behaviour.keep_unknown_headers,
        undeliverable=lost,
    )
    sandbox.store.add(delivered)
    return delivered.number


def _keep(call: Call, mail: Mail, subject: str, immutable_id: str) -> Item:
    item = Item(
        id=uuid.uuid4().hex,
        message_id=mail.message_id,
        subject=subject,
        sender=mail.sender,
        recipients=mail.recipients,
        visible_at=time.time() + call.sandbox.world.behaviour.sent_items_delay,
        immutable_id=immutable_id,
    )
    call.sandbox.store.sent[owner(call).id].append(item)
    return item
