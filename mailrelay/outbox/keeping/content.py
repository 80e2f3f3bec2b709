"""The bytes of a message, read back from their rows."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Length

from mailrelay.models import ContentChunk
from mailrelay.outbox.db import statements
from mailrelay.outbox.errors import ContentRemovedError

WHOLE = "SELECT data FROM mailrelay_contentchunk WHERE content = %s ORDER BY number"


def read(content: UUID) -> bytes:
    """Return the whole content. Raises ContentRemovedError when retention has taken it."""
    pieces = statements.every(WHOLE, content)
    if not pieces:
        raise ContentRemovedError("The content of this message has been removed.")
    return b"".join(bytes(piece) for (piece,) in pieces)


def stream(content: UUID) -> Iterator[bytes]:
    """Yield the content a row at a time, with no cursor open in between."""
    number = 0
    while piece := _rows(content).filter(number=number).values_list("data", flat=True).first():
        yield bytes(piece)
        number += 1


class Reader:
    """The content by offset, in constant memory: one row at a time, and no cursor open in between.

    Raises ContentRemovedError when retention has taken the content, also between two reads.
    """

    def __init__(self, content: UUID) -> None:
        self._content = content
        lengths = list(_rows(content).annotate(length=Length("data")).values_list("length", flat=True))
        if not lengths:
            raise ContentRemovedError("The content of this message has been removed.")
        self._starts = list(accumulate(lengths, initial=0))
        self._number = -1
        self._row = b""

    @property
    def size(self) -> int:
        return self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Return the `length` bytes at `offset`; fewer only at the end."""
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            start = offset - self._starts[number]
            pieces.append(self._load(number)[start : start + end - offset])
            offset += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _load(self, number: int) -> bytes:
        if number != self._number:
            self._row, self._number = b"", -1
            data = _rows(self._content).filter(number=number).values_list("data", flat=True).first()
            if not data:
                raise ContentRemovedError("The content of this message was removed while it was being sent.")
            self._row, self._number = bytes(data), number
        return self._row


def remove(contents: list[UUID]) -> None:
    """Delete the rows of `contents`, in the caller's transaction."""
    ContentChunk.objects.filter(content__in=contents).delete()


def _rows(content: UUID) -> QuerySet[ContentChunk]:
    return ContentChunk.objects.filter(content=content).order_by("number")
