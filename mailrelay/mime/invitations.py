"""Invitations that Graph would send to other people than the recipients.

Public reports since July 2025, no documentation: of a message in MIME with a `text/calendar` part of a method
like REQUEST, CANCEL or REPLY, Exchange makes a meeting message, and sends it to the people whom the calendar
names, whatever To, Cc and Bcc say. Where these are exactly the recipients, an invitation stays as it is.
"""

from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from hashlib import sha256

from mailrelay.address_forms import lower, normalise
from mailrelay.mime.ascii import encode_fields
from mailrelay.mime.contenttype import EMBEDDED, parameter, parse_parameters
from mailrelay.mime.decoders import decoder
from mailrelay.mime.decoding import decode_bytes
from mailrelay.mime.filename import filename
from mailrelay.mime.headers import Buffer, HeaderBlock
from mailrelay.mime.icalendar import SCHEDULING, read_calendar
from mailrelay.mime.opening import read_top
from mailrelay.mime.parts import Part, index_source
from mailrelay.mime.shorttext import INSTEAD_OF_INVITATION
from mailrelay.mime.source import InMemory
from mailrelay.mime.transfer import without_comments
from mailrelay.vocabulary import Invitations

__all__ = ["AS_FILE", "Conflict", "InvitationError", "mentions_calendar", "settle_invitations"]

#: What is said of it on the timeline.
AS_FILE = (
    "The invitation was attached as a file, because its calendar does not name exactly the recipients: as it "
    "came, Microsoft would send it to the people in the calendar."
)
_CALENDAR = "text/calendar"
_WORD = b"calendar"
_WINDOW = 65_536  # bytes that are looked through at a time
_CONTENT_CLASS = "calendarmessage"


_ELSEWHERE = (
    "The calendar in the message does not name exactly its recipients; Microsoft Graph would send it to the "
    "people in the calendar, and "
)


class Conflict(Enum):
    """Why an invitation cannot be sent, in a sentence without a full stop."""

    SIGNED = f"{_ELSEWHERE}it is signed, so that it cannot be made a file of"
    UNWANTED = f"{_ELSEWHERE}its sender refuses such mail"
    UNREAD = (
        "The message may have a calendar, to whose people Microsoft Graph would send it, and not all of its "
        "parts can be found: they are nested too deeply, too many, or their boundary is odd"
    )


class InvitationError(Exception):
    """A message with an invitation that Graph would send to others cannot be made fit."""

    def __init__(self, why: Conflict) -> None:
        super().__init__(why.value)
        self.why = why


def mentions_calendar(pieces: Iterable[Buffer]) -> bool:
    """Whether content that comes in `pieces` may have a calendar part; quick, and sure only where False."""
    last = b""
    for piece in pieces:
        for start in range(0, len(piece), _WINDOW):
            window = last + bytes(piece[start : start + _WINDOW]).lower()
            if _WORD in window:
                return True
            last = window[1 - len(_WORD) :]
    return False


def settle_invitations(
    raw: bytes, recipients: Collection[str], policy: Invitations
) -> tuple[bytes, list[str]]:
    """`raw` as Graph sends it to `recipients` and to nobody else, and a sentence for what was changed.

    Raises InvitationError where the policy or a signature stands against it. Any bytes are taken.
    """
    if policy is Invitations.LEAVE or not mentions_calendar([raw]):
        return raw, []
    message = _Message(raw)
    if any(part.opaque or _has_lost_its_parts(part, raw) for part in message.parts):
        raise InvitationError(Conflict.UNREAD)
    numbers = message.going_elsewhere({normalise(address) for address in recipients})
    if not numbers:
        return raw, []
    if policy is Invitations.REFUSE:
        raise InvitationError(Conflict.UNWANTED)
    if any(message.parts[number].sealed for number in numbers):
        raise InvitationError(Conflict.SIGNED)
    return _Rewriting(message, numbers).run(), [AS_FILE]


def _has_lost_its_parts(part: Part, raw: bytes) -> bool:
    """Whether a multipart has no part for us, and lines that may begin one for another reader."""
    lost = part.is_leaf and part.content_type.main == "multipart"
    return lost and raw.find(b"\n--", max(0, part.body_start - 1), part.body_end) >= 0


class _Message:
    """A message that may have calendar parts."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.source = InMemory(raw)
        self.top = read_top(raw)
        self.parts = index_source(self.source, self.top)

    def headers(self, number: int) -> HeaderBlock:
        """The header block of a part, to be changed."""
        part = self.parts[number]
        return self.top.copy() if part.parent < 0 else self.source.part_headers(part.header_start)

    def going_elsewhere(self, wanted: set[str]) -> list[int]:
        """The calendar parts for which Graph may send the message to others than `wanted`."""
        return [number for number in self._calendars() if not self._goes_to(number, wanted)]

    def _calendars(self) -> Iterator[int]:
        """The calendar parts of the message itself: what was forwarded is a file already."""
        forwarded: set[int] = set()
        for number, part in enumerate(self.parts):
            above = self.parts[part.parent].content_type.name if part.parent >= 0 else ""
            if part.parent in forwarded or above in EMBEDDED:
                forwarded.add(number)
            elif part.is_leaf and any(map(_is_calendar, self.headers(number).get_all("Content-Type"))):
                yield number

    def _goes_to(self, number: int, wanted: set[str]) -> bool:
        part = self.parts[number]
        content = decoder(part.encoding).feed(self.raw[part.body_start : part.body_end], last=True)
        calendar = read_calendar(decode_bytes(content, part.content_type.charset or "utf-8"))
        methods = calendar.methods | set(_methods(self.headers(number)))
        if not methods & SCHEDULING:
            return True
        return len(methods) == 1 and calendar.asks(methods.pop()) == wanted


def _methods(headers: HeaderBlock) -> Iterator[str]:
    """The methods that the fields name, in lower case."""
    for value in headers.get_all("Content-Type"):
        if method := lower(parameter(parse_parameters(value), "method").strip()):
            yield method


def _is_calendar(value: str) -> bool:
    """Whether some reader may find this media type in a field, comments and all (RFC 2045 section 5.1)."""
    bare = without_comments(value).replace('"', "")
    return lower("".join(bare.split())).startswith(_CALENDAR)


class _Rewriting:
    """Calendar parts made files, each where it is seen: outside of alternatives, whose readers choose one."""

    def __init__(self, message: _Message, numbers: list[int]) -> None:
        self.message, self.numbers = message, numbers
        self.raw, self.parts, self.top = message.raw, message.parts, message.headers(0)
        self.boundary = _boundary(self.raw)
        self.moved = [number for number in numbers if self._above(number) == "multipart/alternative"]

    def run(self) -> bytes:
        self._drop_content_class()
        if self.parts[0].is_leaf:
            return self._wrapped([INSTEAD_OF_INVITATION, self._file(0)])
        edits = list(self._edits())
        if self.parts[0].content_type.name == "multipart/mixed":
            edits += map(self._behind_its_alternatives, self.moved)
        body = self._edited(edits)
        if self.moved and self.parts[0].content_type.name != "multipart/mixed":
            return self._wrapped([self._own_part(body), *map(self._file, self.moved)])
        return self.top.as_bytes() + body

    def _above(self, number: int) -> str:
        parent = self.parts[number].parent
        return self.parts[parent].content_type.name if parent >= 0 else ""

    def _drop_content_class(self) -> None:
        if _CONTENT_CLASS in lower(self.top.get("Content-Class") or ""):
            self.top.remove("Content-Class")

    def _edits(self) -> Iterator[tuple[int, int, bytes]]:
        """From where to where the message becomes what."""
        children: dict[int, int] = {}
        for part in self.parts:
            children[part.parent] = children.get(part.parent, 0) + 1
        for number in self.numbers:
            part = self.parts[number]
            if number not in self.moved:
                yield part.header_start, part.body_end, self._file(number)
                continue
            children[part.parent] -= 1
            if children[part.parent]:
                yield part.delimiter, part.body_end, b""
            else:  # a multipart has at least one part (RFC 2046 section 5.1.1)
                yield part.header_start, part.body_end, INSTEAD_OF_INVITATION

    def _behind_its_alternatives(self, number: int) -> tuple[int, int, bytes]:
        """A part of the message itself, next to the one that the calendar was in."""
        around = number
        while self.parts[around].parent > 0:
            around = self.parts[around].parent
        end = self.parts[around].body_end
        delimiter = b"\r\n--" + self.parts[0].content_type.boundary.encode("utf-8", "replace") + b"\r\n"
        return end, end, delimiter + self._file(number)

    def _edited(self, edits: list[tuple[int, int, bytes]]) -> bytes:
        """The message's body with its edits."""
        pieces, at = [], self.parts[0].body_start
        for start, end, made in sorted(edits, key=lambda edit: edit[:2]):
            pieces += [self.raw[at:start], made]
            at = max(at, end)
        return b"".join([*pieces, self.raw[at:]])

    def _file(self, number: int) -> bytes:
        """A calendar part as a file: bytes and transfer encoding as they are, of a type that nobody reads."""
        part = self.parts[number]
        headers = self.message.headers(number)
        name = filename(headers, part.content_type) or "invite.ics"
        name = name if lower(name).endswith(".ics") else f"{name}.ics"
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        headers.remove("Content-Class")
        headers.fields = [f for f in headers.fields if part.parent >= 0 or f.key.startswith("content-")]
        headers.replace("Content-Type", f'application/octet-stream; name="{quoted}"')
        headers.replace("Content-Disposition", f'attachment; filename="{quoted}"')
        encode_fields(headers)
        return headers.as_bytes() + self.raw[part.body_start : part.body_end]

    def _own_part(self, body: bytes) -> bytes:
        """What the message was, as a part of it."""
        own = [field.raw for field in self.top.fields if field.key.startswith("content-")]
        return b"".join(own) + b"\r\n" + body

    def _wrapped(self, entities: list[bytes]) -> bytes:
        """The message with `entities` as the parts of a new multipart/mixed."""
        headers = self.top.copy()
        headers.fields = [field for field in headers.fields if not field.key.startswith("content-")]
        headers.replace("MIME-Version", "1.0")
        headers.append("Content-Type", f'multipart/mixed; boundary="{self.boundary}"')
        line = b"--" + self.boundary.encode()
        body = b"".join(line + b"\r\n" + entity + b"\r\n" for entity in entities)
        return headers.as_bytes() + body + line + b"--\r\n"


def _boundary(raw: bytes) -> str:
    """A boundary that the message has not: the same each time, since sizes are told ahead."""
    made = f"=_{sha256(raw).hexdigest()[:32]}"
    while made.encode() in raw:
        made += "_"
    return made
