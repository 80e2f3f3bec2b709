"""Content-Transfer-Encoding (RFC 2045 section 6): the one place that reads what the field says."""

import re

from mailrelay.address_forms import lower

__all__ = [
    "BASE64",
    "IDENTITY",
    "QUOTED_PRINTABLE",
    "UUENCODE",
    "YENC",
    "transfer_encoding",
    "without_comments",
]

BASE64, QUOTED_PRINTABLE = "base64", "quoted-printable"
#: Older than MIME: what Unix and Usenet had before it.
UUENCODE, YENC = "x-uuencode", "x-yenc"
#: Content as it is.
IDENTITY = frozenset({"7bit", "8bit", "binary"})

_VALUE_LIMIT = 1000  # characters
_PARENTHESIS = re.compile(r"([()])")
_NOT_NAME = re.compile("[^a-z0-9]+")
#: Every spelling that is in use, with nothing but its letters and digits.
_SPELLINGS = {
    "7bit": "7bit",
    "7bits": "7bit",
    "8bit": "8bit",
    "8bits": "8bit",
    "binary": "binary",
    "base64": BASE64,
    "xbase64": BASE64,
    "quotedprintable": QUOTED_PRINTABLE,
    **dict.fromkeys(("uuencode", "xuuencode", "uue", "xuue", "uuencoded", "xuuencoded"), UUENCODE),
    **dict.fromkeys(("yenc", "xyenc", "yencode", "xyencode"), YENC),
}


def transfer_encoding(value: str | None) -> str:
    """The encoding that an unfolded field names, by its standard word; 7bit where it names none.

    Comments and quotes are allowed around it, and `8bits`, `7-bit` or `quoted_printable` are understood. An
    unknown one stays as it is, in lower case: its content is what it is as it came (RFC 2045 section 6.4).
    """
    text = without_comments((value or "")[:_VALUE_LIMIT]).partition(";")[0].replace('"', " ")
    words = lower(text).split()
    if not words:
        return "7bit"
    for name in ("".join(words), words[0]):
        if found := _SPELLINGS.get(_NOT_NAME.sub("", name)):
            return found
    return " ".join(words)


def without_comments(text: str) -> str:
    """What stands outside of parentheses (RFC 5322 section 3.2.2); one that is never closed ends the text."""
    if "(" not in text:
        return text
    depth, kept = 0, []
    for piece in _PARENTHESIS.split(text):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(depth - 1, 0)
        elif not depth:
            kept.append(piece)
    return " ".join(kept)
