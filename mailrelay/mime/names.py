"""Names and other text of headers in raw 8-bit bytes: which charset the parts of a message tell for them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mailrelay.mime.charset import DECLARED_WITHIN, declared_within, may_declare
from mailrelay.mime.decoding import is_useful

if TYPE_CHECKING:
    from mailrelay.mime.parts import Part

__all__ = ["charset_of_names"]

#: Texts that are asked; who has so many and a charset in none of them has one in none.
MOST_TEXTS = 20


def charset_of_names(parts: "Sequence[Part]", read: Callable[[int, int], bytes]) -> str:
    """The charset of the top Content-Type, else of the first text that tells one; empty if none does.

    `read` gives so many bytes of the message from an offset on.
    """
    return next(filter(is_useful, _told(parts, read)), "")


def _told(parts: "Sequence[Part]", read: Callable[[int, int], bytes]) -> Iterator[str]:
    yield parts[0].content_type.charset
    texts = (part for part in parts if part.is_leaf and part.content_type.main == "text")
    for part in islice(texts, MOST_TEXTS):
        yield part.content_type.charset
        if may_declare(part.content_type):
            length = min(part.body_end - part.body_start, DECLARED_WITHIN)
            yield declared_within(part.content_type, read(part.body_start, length))
