"""The content of a part, decoded while it is read, from any offset, in constant memory."""

from collections.abc import Iterator
from copy import copy

from mailrelay.mime.decoders import Decoder, decoder
from mailrelay.mime.source import RandomAccess

__all__ = ["LeafContent", "LeafPart", "LeafReader", "decoded_size"]

_BLOCK = 262_144  # bytes of the message at a time: a content row


class LeafReader:
    """Reads the decoded content of the bytes `start:end` of `content`, forward, from where `seek` says."""

    def __init__(self, content: RandomAccess, start: int, end: int, encoding: str) -> None:
        self._content, self._start, self._end, self._encoding = content, start, end, encoding
        self._at, self._given = start, 0
        self._decoder, self._decoded = decoder(encoding), memoryview(b"")
        self._mark = self._state()

    def seek(self, offset: int) -> None:
        """Go to `offset` bytes of decoded content: cheap from the last such place, or where it stands."""
        if offset != self._given:
            if self._mark[1] <= offset:
                self._at, self._given, state, self._decoded = self._mark
                self._decoder = copy(state)
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

    def _state(self) -> tuple[int, int, Decoder, memoryview]:
        return self._at, self._given, copy(self._decoder), self._decoded

    def _begin(self) -> None:
        self._at, self._given = self._start, 0
        self._decoder, self._decoded = decoder(self._encoding), memoryview(b"")

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
