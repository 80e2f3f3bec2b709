"""The bytes of a message, read back from their rows."""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import QuerySet

from mailrelay.models import ContentChunk
from mailrelay.outbox.errors import ContentRemovedError


def read(content: UUID) -> bytes:
    """Return the whole content. Raises ContentRemovedError when retention has taken it."""
    pieces = list(_rows(content).values_list("data", flat=True))
    if not pieces:
        raise ContentRemovedError("The content of this message has been removed.")
    return b"".join(bytes(piece) for piece in pieces)


def stream(content: UUID) -> Iterator[bytes]:
    """Yield the content a row at a time, with no cursor open in between."""
    number = 0
    while piece := _rows(content).filter(number=number).values_list("data", flat=True).first():
        yield bytes(piece)
        number += 1


def remove(contents: list[UUID]) -> None:
    """Delete the rows of `contents`, in the caller's transaction."""
    ContentChunk.objects.filter(content__in=contents).delete()


def _rows(content: UUID) -> QuerySet[ContentChunk]:
    return ContentChunk.objects.filter(content=content).order_by("number")
