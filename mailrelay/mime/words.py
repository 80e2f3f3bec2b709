"""Encoded words (RFC 2047) and text that a database takes."""

import base64
import binascii
import re

from mailrelay.address_forms import lower
from mailrelay.mime.base64text import NOT_BASE64, quanta
from mailrelay.mime.decoding import decode_bytes

# Real senders put spaces into Q text, so the text may be anything but a question mark.
_WORD = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*+)\?=")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_WORD_BYTES = 45  # 60 base64 characters and 12 of frame: under the 75 of RFC 2047 section 2


def decode_words(value: str) -> str:
    """The text that a reader sees for a header value with encoded words (RFC 2047 section 6)."""
    if "=?" not in value:
        return value
    shown: list[str] = []
    run: list[bytes] = []  # neighbours of one charset: senders split characters between them
    run_charset = ""
    end = 0
    for match in _WORD.finditer(value):
        gap = value[end : match.start()]
        charset, data = lower(match[1]), _word_bytes(match)
        if run and (gap.strip() or charset != run_charset):
            shown.append(decode_bytes(b"".join(run), run_charset))
            run = []
            shown.append(gap if gap.strip() else "")
        elif not run:
            shown.append(gap)
        run.append(data)
        run_charset, end = charset, match.end()
    shown += [decode_bytes(b"".join(run), run_charset), value[end:]]
    return "".join(shown)


def _word_bytes(match: re.Match[str]) -> bytes:
    data = match[3].encode("utf-8", "replace")
    if match[2] in "qQ":
        return binascii.a2b_qp(data, header=True)
    pieces = data.translate(None, NOT_BASE64).split(b"=")
    if any(len(piece) % 4 == 1 for piece in pieces):  # cut short: shown as it stands
        return match[0].encode("utf-8", "replace")
    return b"".join(map(quanta, pieces))


def encode_words(text: str) -> list[str]:
    """`text` as encoded words of at most 75 characters, to be joined by a space or a fold."""
    data = text.encode("utf-8", "replace")
    words = []
    start = 0
    while start < len(data):
        end = min(start + _WORD_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # not inside a character
            end -= 1
        words.append(f"=?utf-8?B?{base64.b64encode(data[start:end]).decode()}?=")
        start = end
    return words


def storable(text: str) -> str:
    """`text` with NUL and lone surrogates replaced: neither PostgreSQL nor SQLite takes both."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
