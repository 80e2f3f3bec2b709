"""Tests in a millisecond that this Python reads mail right: known mail through the parsers.

CPython 3.11.2 took part of a line for a header (gh-106052), and 3.13 reads base64 otherwise than 3.11. The
parsers are right on both; this is for the next fault of that kind.
"""

import platform
from collections.abc import Callable

from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.headers import HeaderBlock, decode_words
from mailrelay.mime.leaves import LeafContent, LeafReader
from mailrelay.mime.parts import index_parts

__all__ = ["ADVICE", "misread"]

ADVICE = "Run the gateway with another Python, from 3.11 to 3.14."


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def misread() -> str:
    """Say what this Python reads wrongly; the empty string if it reads all of it as it must."""
    wrong = [what for what, reads in _KNOWN.items() if not _holds(reads)]
    if not wrong:
        return ""
    return f"Python {platform.python_version()} misreads {' and '.join(wrong)}: mail would arrive mangled."


def _holds(reads: Callable[[], bool]) -> bool:
    try:
        return reads()
    except Exception:  # noqa: BLE001 - an interpreter that is wrong may raise anything
        return False


def _header() -> bool:
    text = b"Subject: s\n folded\nX-Empty:\n**81 C** in rack 4\n<html>: x\n"
    found = HeaderBlock.parse(text)
    return [field.raw for field in found.fields] == [
        b"Subject: s\r\n folded\r\n",
        b"X-Empty:\r\n",
    ] and text[found.body_offset :].startswith(b"**81 C**")


def _body_without_header() -> bool:
    return not any(HeaderBlock.parse(text).body_offset for text in (b"<html>\n\n", b" a: b\n", b"x" * 500))


def _addresses() -> bool:
    text = (
        r'"Doe, J. \"X\"" <j.d@a.example>, b@b.example (B b), T: c@c.example, D <d@d.example>;, e@e.example.'
    )
    found = [(mailbox.display, mailbox.address) for mailbox in parse_addresses(text)]
    return found == [
        ('Doe, J. "X"', "j.d@a.example"),
        ("B b", "b@b.example"),
        ("", "c@c.example"),
        ("D", "d@d.example"),
        ("", "e@e.example."),
    ]


def _parameters() -> bool:
    found = parse_content_type(r'Multipart/Mixed; name="a\"b;c"; boundary="x y" ; n=1')
    return (found.name, found.boundary) == ("multipart/mixed", "x y") and found.parameters["name"] == 'a"b;c'


def _words() -> bool:
    return decode_words("=?utf-8?Q?Gr=C3=B6?= =?utf-8?B?w58=ZQ==?= =?iso-8859-8-i?Q?=F9?=") == "Größeש"


def _parts() -> bool:
    text = b"--b\nContent-Type: a/b\nno field\n\n--c\n--b--\n"
    parts = index_parts(b"Content-Type: multipart/mixed; boundary=b\n\n" + text)
    return [(part.body_start - 43, part.body_end - 43) for part in parts] == [(0, 42), (22, 35)]


def _contents() -> bool:
    for encoding, data in (("base64", b"QUI=QUI=\r\nQUJD"), ("quoted-printable", b"=41=\r\nBAB=41BC")):
        if b"".join(LeafContent(LeafReader(_Bytes(data), 0, len(data), encoding))) != b"ABABABC":
            return False
    return True


_KNOWN: dict[str, Callable[[], bool]] = {
    "a header": _header,
    "a body without a header": _body_without_header,
    "addresses": _addresses,
    "parameters": _parameters,
    "encoded words": _words,
    "parts": _parts,
    "transfer encodings": _contents,
}
