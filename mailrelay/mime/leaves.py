"""The content of a part, decoded while it is read, from any offset, in constant memory."""

import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from copy import copy
from typing import Protocol

from mailrelay.mime.base64text import NOT_BASE64, quanta
from mailrelay.mime.source import RandomAccess

__all__ = ["DECODABLE", "LeafContent", "LeafPart", "LeafReader", "decoded_size"]

_BLOCK = 262_144  # bytes of the message at a time: a content row
_NOISE = re.compile(rb"[^A-Za-z0-9+/=\s]")
_IDENTITY = frozenset({"7bit", "8bit", "binary"})
#: Transfer encodings (RFC 2045 section 6) that are understood.
DECODABLE = _IDENTITY | {"base64", "quoted-printable"}


class _Decoder(Protocol):
    def feed(self, data: bytes, *, last: bool) -> bytes: ...


class _Identity:
    def feed(self, data: bytes, *, last: bool) -> bytes:
        del last
        return data


class _Base64:
    """Lenient, as mail readers are: what is no base64 is skipped (RFC 2045 section 6.8).

    Padding ends a quantum and not the content: there are programs that encode each line, or each block of
    a file, by itself. Behind padding, though, what is no base64 ends it: the footer of a mailing list.
    """

    def __init__(self) -> None:
        self._held = b""
        self._padded = self._ended = False

    def feed(self, data: bytes, *, last: bool) -> bytes:
        if self._ended:
            return b""
        padding = 0 if self._padded else data.find(b"=")
        if padding >= 0:
            self._padded = True
            if noise := _NOISE.search(data, padding):
                data, self._ended = data[: noise.start()], True
        *closed, text = (self._held + data.translate(None, NOT_BASE64)).split(b"=")
        decoded = b"".join(map(quanta, closed))
        if last or self._ended:
            return decoded + quanta(text)
        whole = len(text) - len(text) % 4
        self._held = text[whole:]
        return decoded + a2b_base64(text[:whole])


class _QuotedPrintable:
    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        text, self._held = self._held + data, b""
        if not last:
            # No escape and no soft break is torn apart.
            escape = text.find(b"=", max(len(text) - 2, 0))
            if escape >= 0:
                text, self._held = text[:escape], text[escape:]
        return a2b_qp(text)


def _decoder(encoding: str) -> _Decoder:
    if encoding == "base64":
        return _Base64()
    return _QuotedPrintable() if encoding == "quoted-printable" else _Identity()


class LeafReader:
    """Reads the decoded content of the bytes `start:end` of `content`, forward, from where `seek` says."""

    def __init__(self, content: RandomAccess, start: int, end: int, encoding: str) -> None:
        self._content, self._start, self._end, self._encoding = content, start, end, encoding
        self._at, self._given = start, 0
        self._decoder, self._decoded = _decoder(encoding), memoryview(b"")
        self._mark = self._state()

    def seek(self, offset: int) -> None:
        """Go to `offset` bytes of decoded content: cheap from the last such place, or where it stands."""
        if offset != self._given:
            if self._mark[1] <= offset:
                self._at, self._given, decoder, self._decoded = self._mark
                self._decoder = copy(decoder)
            else:
                self._begin()
            while self._given < offset and self.read(min(_BLOCK, offset - self._given)):
                pass
        self._mark = self._state()

    def read(self, n: int) -> bytes:
        """At most `n` bytes, empty at the end."""
        while not self._decoded and self._at < self._end:
            self._decode()
        data = bytes(self._decoded[:n])
        self._decoded = self._decoded[len(data) :]
        self._given += len(data)
        return data

    def part(self, offset: int, length: int) -> "LeafPart":
        """The `length` bytes at `offset`, read when they are asked for."""
        return LeafPart(self, offset, length)

    def _state(self) -> tuple[int, int, _Decoder, memoryview]:
        return self._at, self._given, copy(self._decoder), self._decoded

    def _begin(self) -> None:
        self._at, self._given = self._start, 0
        self._decoder, self._decoded = _decoder(self._encoding), memoryview(b"")

    def _decode(self) -> None:
        # To a row's border, so that no row is fetched twice.
        length = min(_BLOCK - self._at % _BLOCK, self._end - self._at)
        data = self._content.read(self._at, length)
        if len(data) < length:
            raise ValueError(f"the content ends at {self._at + len(data)} bytes, its index says otherwise")
        self._at += length
        self._decoded = memoryview(self._decoder.feed(data, last=self._at >= self._end))


class LeafPart:
    """A stretch of a leaf as a request body."""

    def __init__(self, reader: LeafReader, offset: int, length: int) -> None:
        self._reader, self._at, self._length, self._left = reader, offset, length, length
        self._begun = False

    def __len__(self) -> int:
        return self._length

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes, everything for a negative `n`, empty at the end."""
        if not self._begun:
            self._reader.seek(self._at)
            self._begun = True
        wanted = self._left if n < 0 else min(n, self._left)
        pieces = []
        while wanted and (piece := self._reader.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
            self._left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class LeafContent:
    """The decoded content of a leaf as blocks, to be iterated as often as wanted."""

    def __init__(self, reader: LeafReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[bytes]:
        self._reader.seek(0)
        while block := self._reader.read(_BLOCK):
            yield block


def decoded_size(content: RandomAccess, start: int, end: int, encoding: str) -> int:
    """How many bytes the content of a leaf has, by reading it once."""
    return sum(map(len, LeafContent(LeafReader(content, start, end, encoding))))
