"""The few words that stand in a message where its own text or invitation is, and travels as a file."""

import re

from mailrelay.mime.contenttype import ContentType
from mailrelay.mime.decoding import is_useful

__all__ = ["INSTEAD_OF_INVITATION", "SHORT_TEXT", "instead_of"]

SHORT_TEXT = "The text of this message is too large to be shown here. It is attached as a file, unchanged."
_PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
#: A part for a message of which nothing but an invitation could be read.
INSTEAD_OF_INVITATION = (
    _PLAIN + b"This is an invitation. It is attached as a file: open it to see or accept it."
)
_CHARSET = re.compile(r"[a-z0-9][a-z0-9._:+-]{0,39}")
#: Charsets that programs take a file for which does not say its own.
_USUAL = frozenset({"utf-8", "us-ascii"})


def instead_of(kind: ContentType) -> bytes:
    """A part that stands in the place of a text of `kind`: its header, a blank line and the short text.

    It keeps a charset that raw 8-bit names in the message may be in.
    """
    text = SHORT_TEXT
    charset = kind.charset if _CHARSET.fullmatch(kind.charset) else ""
    if charset not in {"", *_USUAL}:
        text += f" Its charset is {charset}."
    header = _PLAIN.replace(b"us-ascii", charset.encode()) if is_useful(charset) else _PLAIN
    return header + text.encode()
