"""Decides what each part of a message is for its readers: a text, an invitation, a file."""

from collections.abc import Iterator
from enum import Enum

from mailrelay.mime.contenttype import EMBEDDED, ContentType, parameter
from mailrelay.mime.filename import disposition, filename
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.parts import Part, index_source
from mailrelay.mime.source import Source

__all__ = ["Outline", "Role"]

#: Types that are read as text; all others are files.
_TEXTS = frozenset(
    {
        *("text/plain", "text/html", "text/enriched", "text/richtext"),
        *("text/x-amp-html", "text/watch-html"),
    }
)
_CALENDAR = "text/calendar"


class Role(Enum):
    """What a part is for."""

    TEXT = "text"
    CALENDAR = "calendar"
    FILE = "file"


class Outline:
    """The parts of a message, and the role of each.

    A part without a role holds others, or is in a forwarded message, which is one file.
    """

    def __init__(self, source: Source, headers: HeaderBlock | None = None) -> None:
        self._source = source
        self.parts = index_source(source, headers)
        self.top = headers or source.top()
        self._text = -1  # the first one: the others are its alternatives, or further ones
        self.roles: list[Role | None] = []
        forwarded: set[int] = set()
        for number, part in enumerate(self.parts):
            if part.parent in forwarded or self.kind(part.parent) in EMBEDDED:
                forwarded.add(number)
            self.roles.append(None if number in forwarded else self._role(number, part))

    def leaves(self) -> Iterator[int]:
        """The numbers of all parts that have a role, in order."""
        return (number for number, role in enumerate(self.roles) if role)

    def headers(self, number: int) -> HeaderBlock:
        """The header block of a part."""
        part = self.parts[number]
        return self.top if part.parent < 0 else self._source.part_headers(part.header_start)

    def kind(self, number: int) -> str:
        """The media type of a part; empty for what the message itself is in."""
        return self.parts[number].content_type.name if number >= 0 else ""

    def above(self, number: int) -> Iterator[int]:
        """The containers that a part is in, the innermost first."""
        while (number := self.parts[number].parent) >= 0:
            yield number

    def alternatives(self, one: int, other: int) -> bool:
        """Whether a reader sees only one of two parts."""
        around = set(self.above(one))
        common = next((number for number in self.above(other) if number in around), -1)
        return self.kind(common) == "multipart/alternative"

    def _role(self, number: int, part: Part) -> Role | None:
        kind = part.content_type
        if part.opaque:
            return Role.FILE
        if not part.is_leaf and kind.name not in EMBEDDED:
            return None
        if kind.main == "multipart":  # without a part that could be told, its text is all there is
            return self._as_text(number)
        if kind.name != _CALENDAR and kind.name not in _TEXTS:
            return Role.FILE
        if self._is_file(number, part.content_type):
            return Role.FILE
        return Role.CALENDAR if kind.name == _CALENDAR else self._as_text(number)

    def _is_file(self, number: int, kind: ContentType) -> bool:
        """Whether a part that could be read is a file all the same.

        A name alone makes it one only behind another text, which it is no other form of.
        """
        headers = self.headers(number)
        if disposition(headers) == "attachment":
            return True
        if kind.name == _CALENDAR and parameter(kind.parameters, "method"):
            return False
        named = bool(filename(headers, kind))
        return named and self._text >= 0 and not self.alternatives(self._text, number)

    def _as_text(self, number: int) -> Role:
        if self._text < 0:
            self._text = number
        return Role.TEXT
