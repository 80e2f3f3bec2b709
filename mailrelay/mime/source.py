"""The bytes that the index of parts reads: in memory, or window by window where they are too many."""

import re
from dataclasses import dataclass
from typing import Protocol

from mailrelay.mime.headers import PREFACE, Buffer, HeaderBlock, fields_end, header_start

__all__ = ["Delimiter", "InMemory", "RandomAccess", "Source", "Windowed", "top_headers"]

_DELIMITER = re.compile(rb"\n--([^\r\n]*+)\r*+(?=\n|\Z)")
_BLANK = re.compile(rb"\r*+\n")
#: CR before an LF that belong to the line end; more of them are text.
MOST_CR = 1024
#: Bytes that are looked through at a time: a content row.
WINDOW = 262_144
#: Bytes of a header read at first, and at most: what is longer goes on as body.
FIRST_HEADER, LONGEST_HEADER = 4_096, 1_048_576


class RandomAccess(Protocol):
    """Bytes that lie elsewhere, in rows of a database or in a file."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset`; fewer only at the end."""


@dataclass(slots=True, frozen=True)
class Delimiter:
    """A line that begins with two hyphens: the offset of the line break before it, its end, its text."""

    newline: int
    end: int
    text: bytes


class Source(Protocol):
    """What the index of parts asks of a message. All offsets are in bytes from its start.

    `charset` is that of raw 8-bit text in its headers where they tell none themselves.
    """

    charset: str

    def __len__(self) -> int: ...

    def read(self, start: int, length: int) -> bytes: ...

    def top(self) -> HeaderBlock: ...

    def part_headers(self, start: int, *, embedded: bool = False) -> HeaderBlock: ...

    def delimiter(self, start: int) -> Delimiter | None: ...

    def line_end(self, newline: int) -> int: ...


class InMemory:
    """A message that is all there."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self.charset = ""

    def __len__(self) -> int:
        return len(self._data)

    def read(self, start: int, length: int) -> bytes:
        """The `length` bytes at `start`; fewer only at the end."""
        return bytes(self._data[start : start + length])

    def top(self) -> HeaderBlock:
        """The message's own header block."""
        return HeaderBlock.parse(self._data, self.charset)

    def part_headers(self, start: int, *, embedded: bool = False) -> HeaderBlock:
        """The header block of the part that begins at `start`.

        Before that of an embedded message may be what `header_start` forgives.
        """
        first = start
        if embedded:
            first += header_start(bytes(self._data[start : start + PREFACE]))
        return _parse_part(self._data, first, self.charset)

    def delimiter(self, start: int) -> Delimiter | None:
        """The first line from `start` on that may be a delimiter (RFC 2046 section 5.1.1)."""
        match = _DELIMITER.search(self._data, start)
        return Delimiter(match.start(), match.end(), match[1]) if match else None

    def line_end(self, newline: int) -> int:
        """Where the line ends that the LF at `newline` breaks: before its CR, however many there are."""
        start = max(newline - MOST_CR, 0)
        return start + len(bytes(self._data[start:newline]).rstrip(b"\r"))


class Windowed:
    """A message of which one window is in memory at a time."""

    def __init__(self, content: RandomAccess) -> None:
        self._content = content
        self._size = content.size
        self.charset = ""
        self._start = 0
        self._window = b""

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, length: int) -> bytes:
        inside = start - self._start
        if inside >= 0 and inside + length <= len(self._window):
            return self._window[inside : inside + length]
        return self._content.read(start, length)

    def top(self) -> HeaderBlock:
        return top_headers(self._content, self.charset)

    def part_headers(self, start: int, *, embedded: bool = False) -> HeaderBlock:
        if embedded:
            start += header_start(self.read(start, PREFACE))
        length = FIRST_HEADER
        while True:
            data = self.read(start, length)
            headers = _parse_part(data, 0, self.charset)
            # A header that ends within the last line read may go on behind it.
            if (
                b"\n" in data[headers.body_offset :]
                or start + len(data) >= self._size
                or length >= LONGEST_HEADER
            ):
                headers.body_offset += start
                return headers
            length = min(length * 16, LONGEST_HEADER)

    def delimiter(self, start: int) -> Delimiter | None:
        while start < self._size:
            self._load(start)
            # Base64 has no hyphen, and one byte is found ten times as fast as the expression.
            hyphen = self._window.find(b"-", start - self._start) >= 0
            match = _DELIMITER.search(self._window, start - self._start) if hyphen else None
            over = self._start + len(self._window)
            if match and (match.end() < len(self._window) or over >= self._size):
                return Delimiter(match.start() + self._start, match.end() + self._start, match[1])
            # What reaches the window's end is looked at again from its first byte on; but a line that is
            # longer than a window is no delimiter.
            at = match.start() + self._start if match else max(over - 2, start)
            start = over if match and at == self._start else at
            if over >= self._size:
                return None
            self._window = b""
        return None

    def line_end(self, newline: int) -> int:
        start = max(newline - MOST_CR, 0)
        return start + len(self.read(start, newline - start).rstrip(b"\r"))

    def _load(self, start: int) -> None:
        """Have a window that holds `start`."""
        if not self._start <= start < self._start + len(self._window):
            self._start = start
            self._window = self._content.read(start, WINDOW)


def top_headers(content: RandomAccess, charset: str = "") -> HeaderBlock:
    """The header block at the start of `content`; what is beyond 1 MiB of it is body."""
    length = 16 * FIRST_HEADER
    while True:
        data = content.read(0, length)
        headers = HeaderBlock.parse(data, charset)
        # A header that ends within the last line read may go on behind it.
        if b"\n" in data[headers.body_offset :] or len(data) < length or length >= LONGEST_HEADER:
            return headers
        length = LONGEST_HEADER


def _parse_part(data: Buffer, start: int, charset: str) -> HeaderBlock:
    first, end = fields_end(data, start, in_part=True)
    blank = _BLANK.match(data, end)
    headers = HeaderBlock.parse(bytes(data[first:end]), charset)
    headers.body_offset = blank.end() if blank else end
    return headers
