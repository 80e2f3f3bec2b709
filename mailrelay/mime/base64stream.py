"""A request body that is the base64 of a message, made while it is read."""

from binascii import b2a_base64
from collections.abc import Iterable, Iterator

__all__ = ["Base64Body"]

_BLOCK = 49_152  # bytes of the message at a time, a multiple of 3: 64 KiB of base64


class Base64Body:
    """File-like over `parts` (together `size` bytes): `len()` is exact, `read()` needs constant memory.

    requests sends Content-Length for what has `__len__` and `read`; a generator would go chunked.
    There are no line breaks. `parts` must be iterable more than once for `rewind` to work.
    """

    def __init__(self, parts: Iterable[bytes | memoryview], size: int) -> None:
        self._parts = parts
        self._size = size
        self._length = (size + 2) // 3 * 4
        self._start()

    def __len__(self) -> int:
        """The length of the base64 in bytes."""
        return self._length

    @property
    def exhausted(self) -> bool:
        """Whether the last byte was handed out: from then on Graph may have the whole message."""
        return self._given >= self._length

    def rewind(self) -> None:
        """Begin again. Raises TypeError if `parts` can be iterated only once."""
        if isinstance(self._parts, Iterator):
            raise TypeError("the parts of this body can be read only once")
        self._start()

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes of base64, all that is left for a negative `n`, empty at the end.

        Raises ValueError if the parts do not have `size` bytes together: the length is already sent.
        """
        wanted = self._length if n < 0 else n
        pieces: list[bytes] = []
        while wanted > 0 and self._fill():
            piece = self._encoded[self._offset : self._offset + wanted]
            self._offset += len(piece)
            wanted -= len(piece)
            pieces.append(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._given += len(data)
        return data

    def _start(self) -> None:
        self._left = iter(self._parts)
        self._part = memoryview(b"")
        self._taken = 0
        self._given = 0
        self._encoded = b""
        self._offset = 0
        self._ended = False

    def _fill(self) -> bool:
        """Have base64 at hand; False at the end."""
        if self._offset < len(self._encoded):
            return True
        if self._ended:
            return False
        block = self._next_block()
        self._taken += len(block)
        if self._taken > self._size or (self._ended and self._taken != self._size):
            raise ValueError(f"the body has {self._taken} bytes or more, but {self._size} were announced")
        self._encoded, self._offset = b2a_base64(block, newline=False), 0
        return bool(self._encoded)

    def _next_block(self) -> bytes:
        pieces, room = [], _BLOCK
        while room:
            if not self._part:
                part = next(self._left, None)
                if part is None:
                    self._ended = True
                    break
                self._part = memoryview(part).cast("B")
                continue
            pieces.append(self._part[:room])
            self._part = self._part[room:]
            room -= len(pieces[-1])
        return b"".join(pieces)
