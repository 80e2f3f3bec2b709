"""A submission: one mail, ready to be stored."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from uuid import UUID

from mailrelay.vocabulary import Route, Urgency

#: Bytes a content row; larger mail is stored in several, committed ahead of its message.
CHUNK_SIZE = 256 * 1024
#: Characters of the recipient that another stands for, with its type (RFC 3461 section 4.2).
ORIGINAL_LIMIT = 500


class Content(Protocol):
    """The bytes of a mail, in memory or in a file."""

    @property
    def size(self) -> int: ...

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the content from its start in pieces of `size` bytes, the last one shorter."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key that the client gave its submission, and what the submission was; both as SHA-256 in hex."""

    digest: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a repetition of a mail from another: client, envelope and content, as parts of SHA-256."""

    client: str
    envelope: str
    content: str
    #: How old what it repeats may be, in seconds.
    seconds: float = 0.0

    @classmethod
    def of(cls, client: str, envelope: Iterable[str], content: str, seconds: float) -> "Fingerprint":
        """Make the one of a mail of `client`; `content` is its SHA-256 in hex."""
        return cls(_digest((client,))[:16], _digest(tuple(envelope))[:16], content[:32], seconds)

    @classmethod
    def read(cls, text: str) -> "Fingerprint | None":
        """Read what `text` gave; None where a message has none."""
        return cls(text[:16], text[16:32], text[32:]) if text else None

    @property
    def text(self) -> str:
        return self.client + self.envelope + self.content


@lru_cache(maxsize=256)
def _digest(words: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()


class RecipientDsn(NamedTuple):
    """What the client wants to hear of a recipient (RFC 3461 sections 4.1 and 4.2); empty is its silence."""

    notify: str = ""  # NEVER, or some of DELAY, FAILURE and SUCCESS with commas between
    original: str = ""  # the recipient as it was before: type;address

    def standing_for(self, address: str) -> "RecipientDsn":
        """What is wanted of a recipient that `address` stands for, unless the client named one before it."""
        label = address.encode("ascii", "backslashreplace").decode()
        return RecipientDsn(self.notify, self.original or f"rfc822;{label}"[:ORIGINAL_LIMIT])

    def joined(self, other: "RecipientDsn") -> "RecipientDsn":
        """What is wanted where a recipient was named twice: each report that either wants; silence is all."""
        words = {*self.notify.split(","), *other.notify.split(",")} - {"NEVER"}
        notify = "" if "" in words else ",".join(sorted(words)) or "NEVER"
        return RecipientDsn(notify, self.original or other.original)


@dataclass(frozen=True, slots=True)
class DsnRequest:
    """What the client wants of reports on a mail (RFC 3461); empty where it has said nothing."""

    ret: str = ""  # FULL or HDRS
    envid: str = ""
    #: By address, as in the envelope; only those of which something was said.
    recipients: Mapping[str, RecipientDsn] = field(default_factory=dict)


NO_DSN_REQUEST, NO_RECIPIENT_DSN = DsnRequest(), RecipientDsn()


@dataclass(frozen=True, slots=True)
class Submission:
    """One mail as the SMTP session took it. Texts hold neither NUL nor lone surrogates."""

    id: UUID
    received_at: datetime
    client_id: int | None
    client_key: str  # what fairness between clients goes by
    client_address: str
    client_name: str
    mail_from: str
    recipients: tuple[str, ...]
    header_from: str
    subject: str
    message_id: str  # without angle brackets; one of ours when the header has none
    sender_id: int
    registration_id: int
    mailbox_address: str
    content: Content
    urgency: Urgency = Urgency.NORMAL
    route: Route = Route.MIME
    repeat: IdempotencyKey | None = None
    #: By which a repetition is known; None where none is looked for.
    fingerprint: Fingerprint | None = None
    dsn_request: DsnRequest = NO_DSN_REQUEST


def new_queue_id() -> UUID:
    """Make a UUID that sorts by time (RFC 9562, version 7), so that new rows share the index's last pages."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=number & ~(0x3 << 62) | (0x2 << 62))
