"""Lines that are longer than mail may have them (RFC 5322 section 2.1.1), and the breaking of them."""

import re
from collections.abc import Iterator

__all__ = ["LONGEST", "LineLengths", "fold_lines", "has_long_line", "wrap_encoded"]

#: Octets of a line, without its CR LF.
LONGEST = 998
_WITH_END = LONGEST + 2
_FOLDED = 76  # characters, as everywhere else; base64 has as many (RFC 2045 section 6.8)
_WORD = re.compile(rb"(?<![ \t])[ \t]*+[^ \t]++")


class LineLengths:
    """Whether a line of what comes in pieces, whose lines end in LF, is too long."""

    __slots__ = ("_exceeded", "_unended")

    def __init__(self) -> None:
        self._exceeded = False
        self._unended = 0

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next piece; leaps from line end to line end, over as many lines as one may be long."""
        if self._exceeded:
            return
        at, size = -1 - self._unended, len(data)
        while at + _WITH_END < size:
            found = data.rfind(b"\n", max(at + 1, 0), at + _WITH_END + 1)
            if found < 0:
                self._exceeded = True
                return
            at = found
        last = data.rfind(b"\n", max(at + 1, 0))
        self._unended = size - 1 - (at if last < 0 else last)

    @property
    def exceeded(self) -> bool:
        """Whether there was such a line so far, counting one that has no end yet but perhaps its CR."""
        return self._exceeded or self._unended > LONGEST + 1


def has_long_line(data: bytes | bytearray) -> bool:
    """Whether a line of `data` is too long."""
    if len(data) <= LONGEST:
        return False
    lengths = LineLengths()
    lengths.feed(data)
    return lengths.exceeded


def fold_lines(text: bytes) -> bytes:
    """Break each line of `text` that is too long before white space, where it has any.

    Unfolded (RFC 5322 section 2.2.3) it is what it was, so it has to be text that is unfolded: a header.
    """
    if not has_long_line(text):
        return text
    return b"\r\n".join(b"\r\n".join(_folded(line)) for line in text.split(b"\r\n"))


def _folded(line: bytes) -> Iterator[bytes]:
    """The lines of a line: none has white space alone, which would be the end of a header to some."""
    if len(line) <= LONGEST:
        yield line
        return
    start = end = 0
    for word in _WORD.finditer(line):
        if word.end() - start > _FOLDED and start < end and line[start:end].strip(b" \t"):
            yield line[start:end]
            start = end
        end = word.end()
    yield line[start:]


def wrap_encoded(text: bytes) -> bytes:
    """Break each line of base64 that is too long, so that no line begins like a delimiter."""
    if not has_long_line(text):
        return text
    return b"\r\n".join(piece for line in text.split(b"\r\n") for piece in _wrapped(line))


def _wrapped(line: bytes) -> Iterator[bytes]:
    start, width = 0, _FOLDED if len(line) > LONGEST else len(line)
    while len(line) - start > width:
        end = start + width
        while line.startswith(b"--", end):
            end += 1
        yield line[start:end]
        start = end
    yield line[start:]
