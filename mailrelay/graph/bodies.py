"""Request bodies of several pieces, each handed out as it is read."""

import io
from collections.abc import Sequence

from mailrelay.graph.http import Body


class Chain:
    """Bodies one after the other."""

    def __init__(self, pieces: Sequence[Body | bytes]) -> None:
        self._length = sum(map(len, pieces))
        self._left = [io.BytesIO(piece) if isinstance(piece, bytes) else piece for piece in pieces]

    def __len__(self) -> int:
        return self._length

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes, everything for a negative `n`, empty at the end."""
        pieces, wanted = [], self._length if n < 0 else n
        while wanted > 0 and self._left:
            piece = self._left[0].read(wanted)
            if not piece:
                self._left.pop(0)
                continue
            pieces.append(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
