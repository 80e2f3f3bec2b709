"""What a mail says to its reader, by Python's own parser: each leaf's kind, name and decoded bytes."""

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import Message


@dataclass(frozen=True)
class Leaf:
    kind: str
    content: bytes


def leaves(raw: bytes) -> list[Leaf]:
    """List the leaves in order; a message within the message is taken apart as well."""
    return [_leaf(part) for part in email.message_from_bytes(raw).walk() if not part.is_multipart()]


def _leaf(part: Message) -> Leaf:
    content = part.get_payload(decode=True) or b""
    return Leaf(part.get_content_type(), comparable(content))


def comparable(content: bytes) -> bytes:
    """Leave out what line ends and the end of a file say: CR LF is what mail has, whatever was sent."""
    return re.sub(rb"\r*\n|\r", b"\n", content).rstrip(b"\n")


def as_sent(message: bytes) -> bytes:
    """End the lines of a file with CR LF, as a client does that sends it."""
    return re.sub(rb"\r?\n", b"\r\n", message)
