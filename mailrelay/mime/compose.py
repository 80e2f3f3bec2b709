"""The message as Graph gets it: the bytes that came, but for what must change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from mailrelay.mime.ascii import encode_fields
from mailrelay.mime.envelope import reconcile
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import Identity, apply_identity
from mailrelay.mime.invitations import settle_invitations
from mailrelay.mime.opening import read_top
from mailrelay.mime.safe import LEFT, make_safe
from mailrelay.vocabulary import Invitations

__all__ = ["DIRECT_LIMIT", "HEADER_LIMIT", "Composed", "compose", "compose_headers"]

# Graph takes requests of 4 MiB, and the message travels in base64: three bytes in four.
DIRECT_LIMIT = 3_145_728  # bytes
# What Exchange Online takes as a header block.
HEADER_LIMIT = 262_144  # bytes


@dataclass(slots=True, frozen=True)
class Composed:
    """A message ready to be sent: `parts` in order, their `size` in bytes, and what was changed.

    `losses` are those changes that a reader may notice.
    """

    parts: tuple[bytes | memoryview, ...]
    size: int
    header_size: int
    changes: tuple[str, ...]
    losses: tuple[str, ...] = ()


def compose(
    raw: bytes,
    *,
    recipients: Sequence[str],
    identity: Identity,
    header_from: str,
    message_id: str,
    date: datetime,
    invitations: Invitations = Invitations.FILE,
    own_id: str = "",
) -> Composed:
    """Make `raw` fit for sendMail: exactly these recipients, From by policy, safe for Graph.

    `header_from` is the author that was decided on, empty for none. `message_id` (with its angle
    brackets) and `date` are used where the message has none; `own_id` in the place of the one that it has.
    Any bytes are taken. Raises ValueError for recipients, an identity or a Message-ID that no header can
    hold, and InvitationError.
    """
    raw, losses = settle_invitations(raw, recipients, invitations)
    headers = read_top(raw)
    changes = compose_headers(
        headers,
        recipients=recipients,
        identity=identity,
        header_from=header_from,
        message_id=message_id,
        date=date,
        own_id=own_id,
    )
    body, body_changes = make_safe(raw, headers)
    head = headers.as_bytes()
    size = len(head) + sum(map(len, body))
    losses += [change for change in body_changes if change == LEFT]
    changes += [*body_changes, *(loss for loss in losses if loss not in body_changes)]
    return Composed((head, *body), size, len(head), tuple(changes), tuple(losses))


def compose_headers(
    headers: HeaderBlock,
    *,
    recipients: Sequence[str],
    identity: Identity,
    header_from: str,
    message_id: str,
    date: datetime,
    own_id: str = "",
) -> list[str]:
    """Change `headers` as `compose` does; a sentence for each change.

    If the body is clean (`safe.is_clean`) and has no calendar in it, the composed size is
    `len(headers.as_bytes())` and the bytes from `headers.body_offset` on. Raises as `compose` does.
    """
    changes = []
    if headers.remove("Return-Path"):
        changes.append("Return-Path was removed: it is Exchange's to write.")
    changes += apply_identity(headers, identity, header_from)
    changes += reconcile(headers, recipients)
    if not headers.get("Message-ID"):
        headers.replace("Message-ID", message_id)
        changes.append("Message-ID was added.")
    if own_id:
        changes.append(_renamed(headers, own_id))
    if not headers.get("Date"):
        headers.replace("Date", format_datetime(date if date.tzinfo else date.replace(tzinfo=UTC)))
        changes.append("Date was added.")
    if not headers.get("MIME-Version"):
        headers.replace("MIME-Version", "1.0")
        changes.append("MIME-Version was added.")
    if headers.settle_content_type():
        changes.append("Of several Content-Type fields the first that can be used was kept.")
    if count := encode_fields(headers):
        changes.append(
            f"{count} header fields with raw 8-bit text or lines over 998 octets were encoded or folded."
        )
    return changes


def _renamed(headers: HeaderBlock, own_id: str) -> str:
    """Put `own_id` in the place of the Message-ID, which readers find in References from now on."""
    former = headers.get("Message-ID") or ""
    references = " ".join(f"{headers.get('References') or ''} {former}".split())
    headers.replace("Message-ID", own_id)
    headers.replace("References", references)
    return "Message-ID gave way to one that no other mail has, and moved to References."
