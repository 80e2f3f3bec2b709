"""Transfer encodings undone piece by piece: what is decoded so far never depends on what comes later."""

import re
from abc import ABC, abstractmethod
from binascii import Error, a2b_base64, a2b_qp, a2b_uu
from typing import Protocol

from mailrelay.mime.base64text import NOT_BASE64, quanta
from mailrelay.mime.transfer import BASE64, QUOTED_PRINTABLE, UUENCODE, YENC

__all__ = ["Decoder", "decoder"]

_NOISE = re.compile(rb"[^A-Za-z0-9+/=\s]")
#: Bytes within which uuencoded and yEnc content begins; content without a beginning is what it is.
_FRONT = 65_536
_UU_BEGIN = re.compile(rb"(?:\A|\n)begin [0-7]{3,4}[^\n]*\n")
_UU_LINE = 128  # bytes; the longest has 85
_YENC_BEGIN = re.compile(rb"(?:\A|\n)=ybegin [^\n]*\n")
_YENC_LINE = 4096  # bytes that wait for their line's end; 254 are usual at most
_LESS_42 = bytes((value - 42) % 256 for value in range(256))
_LESS_106 = bytes((value - 106) % 256 for value in range(256))


class Decoder(Protocol):
    """Keeps no state but immutable values: a shallow copy goes on from where it stands."""

    def feed(self, data: bytes, *, last: bool) -> bytes: ...


def decoder(encoding: str) -> Decoder:
    """A decoder for an encoding as `transfer_encoding` names it; unknown ones change nothing."""
    if encoding == BASE64:
        return _Base64()
    if encoding == QUOTED_PRINTABLE:
        return _QuotedPrintable()
    if encoding == UUENCODE:
        return _UUEncoded()
    return _YEnc() if encoding == YENC else _Identity()


class _Identity:
    def feed(self, data: bytes, *, last: bool) -> bytes:
        del last
        return data


class _Base64:
    """Lenient, as mail readers are: what is no base64 is skipped (RFC 2045 section 6.8).

    Padding ends a quantum and not the content: there are programs that encode each line, or each block of
    a file, by itself. Behind padding, though, what is no base64 ends it: the footer of a mailing list.
    """

    def __init__(self) -> None:
        self._held = b""
        self._padded = self._ended = False

    def feed(self, data: bytes, *, last: bool) -> bytes:
        if self._ended:
            return b""
        padding = 0 if self._padded else data.find(b"=")
        if padding >= 0:
            self._padded = True
            if noise := _NOISE.search(data, padding):
                data, self._ended = data[: noise.start()], True
        *closed, text = (self._held + data.translate(None, NOT_BASE64)).split(b"=")
        decoded = b"".join(map(quanta, closed))
        if last or self._ended:
            return decoded + quanta(text)
        whole = len(text) - len(text) % 4
        self._held = text[whole:]
        return decoded + a2b_base64(text[:whole])


class _QuotedPrintable:
    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        text, self._held = self._held + data, b""
        if not last:
            # No escape and no soft break is torn apart.
            escape = text.find(b"=", max(len(text) - 2, 0))
            if escape >= 0:
                text, self._held = text[:escape], text[escape:]
        return a2b_qp(text)


class _Framed(ABC):
    """Lines between a beginning and an end; without a beginning, the content is what it is."""

    begin: re.Pattern[bytes]

    def __init__(self) -> None:
        self._held = b""
        self._begun = self._ended = self._plain = False

    def feed(self, data: bytes, *, last: bool) -> bytes:
        if self._ended or self._plain:
            return data if self._plain else b""
        text, self._held = self._held + data, b""
        if not self._begun:
            found = self.begin.search(text)
            if found is None:
                return self._without_beginning(text, last=last)
            self._begun, text = True, text[found.end() :]
        lines = text.split(b"\n")
        rest = b"" if last else self._rest(lines.pop())
        return b"".join(map(self._line, lines)) + rest

    def _without_beginning(self, text: bytes, *, last: bool) -> bytes:
        self._plain = last or len(text) > _FRONT
        self._held = b"" if self._plain else text
        return text if self._plain else b""

    @abstractmethod
    def _rest(self, line: bytes) -> bytes:
        """Keep what may go on in the next piece; return what of it is decoded already."""

    @abstractmethod
    def _line(self, line: bytes) -> bytes:
        """Decode a whole line."""


class _UUEncoded(_Framed):
    """What uuencode of POSIX makes of a file."""

    begin = _UU_BEGIN

    def _rest(self, line: bytes) -> bytes:
        self._held = line[:_UU_LINE]
        return b""

    def _line(self, line: bytes) -> bytes:
        self._ended = self._ended or line.strip() == b"end"
        if self._ended or not line.strip():
            return b""
        # Its first character tells how many bytes the line has; some programs add a checksum behind them.
        length = (((line[0] - 32) & 63) * 4 + 5) // 3
        try:
            return a2b_uu(line[:length].rstrip(b"\r"))
        except Error:
            return b""


class _YEnc(_Framed):
    """A byte plus 42, escaped by `=` and 64 more (http://www.yenc.org/yenc-draft.1.3.txt)."""

    begin = _YENC_BEGIN

    def _rest(self, line: bytes) -> bytes:
        if len(line) <= _YENC_LINE:
            self._held = line
            return b""
        cut = len(line) - line.endswith(b"=")
        self._held = line[cut:]
        return self._line(line[:cut])

    def _line(self, line: bytes) -> bytes:
        self._ended = self._ended or line.startswith(b"=yend")
        if self._ended or line.startswith(b"=y"):
            return b""
        plain, *escaped = line.replace(b"\r", b"").split(b"=")
        pieces = (piece[:1].translate(_LESS_106) + piece[1:].translate(_LESS_42) for piece in escaped)
        return plain.translate(_LESS_42) + b"".join(pieces)
