"""The copy that a recipient gets of what was submitted: what Exchange keeps, drops and rewrites."""

from __future__ import annotations

from email.utils import formataddr, getaddresses
from typing import TYPE_CHECKING

from sandbox.head import read_head, value_of

if TYPE_CHECKING:
    from sandbox.store import Delivered

# Fields that live on as properties of the message. Reports say that all others get lost: Auto-Submitted and
# Return-Path always, List-*, Precedence and DKIM-Signature too, an X- field unless its name is known.
KEPT = frozenset(
    [
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
        "importance",
        "sensitivity",
        "keywords",
        "comments",
        "thread-topic",
        "thread-index",
        "content-language",
        "accept-language",
        "x-priority",
        "x-auto-response-suppress",
        "disposition-notification-to",
        "return-receipt-to",
        "x-unsent",
    ]
)


def delivered_copy(mail: Delivered) -> bytes:
    """`mail` as a recipient's mailbox holds it: body untouched, header as Exchange leaves it."""
    head = read_head(mail.raw)
    lines = [b"Return-Path: <" + mail.sender.encode() + b">"]
    for name, raw in head.fields:
        if name == "from":
            lines.append(_from(raw, mail.sender))
        elif name == "message-id":
            continue
        elif _survives(name, mail):
            lines.append(raw)
    if not any(name == "from" for name, _ in head.fields):
        lines.append(b"From: " + mail.sender.encode())
    lines.append(b"Message-ID: " + mail.assigned_message_id.encode("utf-8", "surrogateescape"))
    return b"\r\n".join(lines) + b"\r\n\r\n" + mail.raw[head.body :]


def _survives(name: str, mail: Delivered) -> bool:
    if name in ("bcc", "return-path", "auto-submitted"):
        return False
    if name in KEPT or name.startswith("content-"):
        return True
    if name.startswith("x-") and name in mail.known_headers:
        return True
    return mail.keep_unknown_headers


def _from(raw: bytes, sender: str) -> bytes:
    """The field with the address that the mail really came from; the display name stays."""
    value = value_of(raw)
    pairs = [pair for pair in getaddresses([value]) if pair[1]]
    if pairs and pairs[0][1].lower() == sender and len(pairs) == 1:
        return raw
    name = pairs[0][0] if pairs else ""
    text = formataddr((name, sender)) if name.isascii() else f'"{name}" <{sender}>'
    return b"From: " + text.encode("utf-8", "surrogateescape")
