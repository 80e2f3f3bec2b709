"""The raw message as a download: streamed from its rows, never shown in a page."""

import logging
from collections.abc import Iterator
from itertools import chain

from django.http import HttpRequest, StreamingHttpResponse

from mailrelay.models import Message
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.keeping import content

log = logging.getLogger(__name__)


def download(request: HttpRequest, message: Message) -> StreamingHttpResponse:
    """Return the content as an attachment. Raises ContentRemovedError when it is not kept any more."""
    pieces = content.stream(message.pk)
    # What is marked as removed may still have rows for a moment, and they are not the whole of it.
    first = None if message.content_removed_at else next(pieces, None)
    if first is None:
        raise ContentRemovedError("The content of this message has been removed.")
    log.info("content of %s downloaded by %s", message.queue_id, request.user.get_username())
    return StreamingHttpResponse(
        _all(first, pieces),
        content_type="message/rfc822",
        headers={
            "Content-Disposition": f'attachment; filename="{message.queue_id}.eml"',
            "Content-Length": str(message.size),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    return chain((first,), rest)
