"""A body that Graph reads as it was meant: no 8-bit bytes, no NUL, no long lines, and CRLF ends each."""

import re
from binascii import a2b_qp, b2a_base64
from collections.abc import Iterator

from mailrelay.mime.ascii import encode_fields
from mailrelay.mime.charset import charset_of, is_wide, labelled, says_nothing
from mailrelay.mime.contenttype import ContentType, is_readable
from mailrelay.mime.decoders import decoder
from mailrelay.mime.headers import Buffer, HeaderBlock
from mailrelay.mime.lines import LONGEST, LineLengths, fold_lines, has_long_line, wrap_encoded
from mailrelay.mime.parts import Part, index_source
from mailrelay.mime.source import InMemory
from mailrelay.mime.transfer import BASE64, QUOTED_PRINTABLE, UUENCODE, YENC

__all__ = ["LEFT", "CleanCheck", "Piece", "is_clean", "make_safe"]

Piece = bytes | memoryview

#: The change that is none: what Graph may garble, and must not be fixed.
LEFT = (
    "Signed, encrypted or too deeply nested parts were left with 8-bit bytes, bare line ends or long lines."
)
_LINE = 76  # characters of base64 in a line, RFC 2045 section 6.8
_BLOCK = 57 * 1024  # bytes that make whole lines
# Made of ASCII by definition, so what is not is noise. An unknown name is a device's word for 8bit.
_ARMOURED = frozenset({BASE64, UUENCODE})
#: What is made of header fields, which may be folded, and must not be encoded (RFC 3464 section 2.1).
_HEADERS = frozenset(
    {
        "message/delivery-status",
        "message/disposition-notification",
        "message/feedback-report",
        "text/rfc822-headers",
    }
)
_CRS_LF = re.compile(rb"(?<!\r)\r{2,}\n")
#: Content-Type fields of a part, one behind the other: no reader says which of them counts.
_TWO_TYPES = re.compile(
    rb"\ncontent-type[ \t]*+:[^\n]*+\n(?>(?:[ \t][^\n]*+\n)*)content-type[ \t]*+:", re.IGNORECASE
)
_BEYOND_ASCII = bytes(range(128, 256))
_QUESTION_MARKS = bytes.maketrans(_BEYOND_ASCII + b"\0", b"?" * 129)


def is_clean(data: Buffer) -> bool:
    """Whether `data` is ASCII without NUL, its lines all end in CRLF and none has over 998 octets.

    A memoryview is copied once.
    """
    text = data if isinstance(data, bytes | bytearray) else bytes(data)
    if not text.isascii() or b"\0" in text:
        return False
    pairs = text.count(b"\r\n")
    return text.count(b"\n") == pairs and text.count(b"\r") == pairs and not has_long_line(text)


class CleanCheck:
    """`is_clean` for what comes in chunks, whose borders may part a CR from its LF."""

    def __init__(self) -> None:
        self._so_far = True
        self._held = b""
        self._lengths = LineLengths()

    def feed(self, chunk: Buffer) -> None:
        """Take the next chunk, of any length."""
        if self._so_far and len(chunk):
            data = self._held + bytes(chunk)
            self._held = data[-1:] if data.endswith(b"\r") else b""
            data = data[: len(data) - len(self._held)]
            self._lengths.feed(data)
            self._so_far = is_clean(data)

    @property
    def clean(self) -> bool:
        """Whether all chunks together are clean."""
        return self._so_far and not self._held and not self._lengths.exceeded


def make_safe(raw: bytes, headers: HeaderBlock) -> tuple[list[Piece], list[str]]:
    """The body of `raw` in pieces, and a sentence for each kind of change.

    `headers` is its parsed top header block; where the body itself is encoded, its Content-Type and
    Content-Transfer-Encoding change. Microsoft Graph answers ErrorMimeContentInvalidBase64String to 8-bit
    parts and to bare LF. What is signed or encrypted is not touched, whatever is in it: a change would
    break it (RFC 1847 section 2.1). Any bytes are taken, in linear time.
    """
    body = memoryview(raw)[headers.body_offset :]
    if is_clean(body) and not _TWO_TYPES.search(body):
        return [body], []
    return _Repairer(raw, headers).run()


class _Repairer:
    def __init__(self, raw: bytes, headers: HeaderBlock) -> None:
        self.raw = raw
        self.view = memoryview(raw)
        self.headers = headers
        self.source = InMemory(raw)
        self.parts = index_source(self.source, headers)
        self.recoded = 0
        self.relabelled = False
        self.untouched = [part for part in self.parts if self._is_untouchable(part)]
        # A container may not say 7bit around what stays 8-bit (RFC 2045 section 6.4).
        self.relabel = all(self._slice(part).isascii() for part in self.untouched)

    def run(self) -> tuple[list[Piece], list[str]]:
        root = self.parts[0]
        pieces: list[Piece] = []
        at = root.body_end
        if root.sealed or root.opaque:
            pieces.append(self.view[root.body_start :])
        elif root.is_leaf:
            pieces.append(self._leaf(root, self.headers))
            if self.relabelled and pieces[-1]:  # base64 ends in a line as the message did
                pieces.append(b"\r\n")
        else:
            self._relabel(root, self.headers)
            at = root.body_start
            for part in self._outermost():
                pieces.append(_between(self.view[at : part.header_start]))
                pieces += self._part(part)
                at = part.body_start if self._is_entered(part) else part.body_end
        pieces.append(_between(self.view[at:]))
        if self.relabelled and not self.headers.get("MIME-Version"):
            self.headers.replace("MIME-Version", "1.0")
        return [piece for piece in pieces if len(piece)], self._changes()

    def _is_untouchable(self, part: Part) -> bool:
        above_sealed = part.parent >= 0 and self.parts[part.parent].sealed
        return part.opaque or (part.sealed and not above_sealed)

    def _is_entered(self, part: Part) -> bool:
        return not (part.is_leaf or part.sealed)

    def _outermost(self) -> Iterator[Part]:
        """All parts but the message itself and what is within signed or encrypted ones."""
        for part in self.parts[1:]:
            if not self.parts[part.parent].sealed:
                yield part

    def _slice(self, part: Part) -> bytes:
        return self.raw[part.header_start if part.parent >= 0 else part.body_start : part.body_end]

    def _part(self, part: Part) -> list[Piece]:
        whole = self.view[part.header_start : part.body_end]
        if part.sealed:
            return [whole]
        head = self.view[part.header_start : part.body_start]
        headers = HeaderBlock.parse(bytes(head), self.source.charset)
        before = list(headers.fields)
        headers.settle_content_type()
        encode_fields(headers)
        body: list[Piece] = []
        if part.opaque:
            body = [_lines(bytes(self.view[part.body_start : part.body_end]))]
        elif part.is_leaf:
            body = [self._leaf(part, headers)]
        else:
            self._relabel(part, headers)
        unchanged = headers.fields == before and is_clean(head)
        return [head if unchanged else headers.as_bytes(), *body]

    def _relabel(self, part: Part, headers: HeaderBlock) -> None:
        if self.relabel and part.encoding in {"8bit", "binary"}:
            headers.replace("Content-Transfer-Encoding", "7bit")
            self.relabelled = True

    def _leaf(self, part: Part, headers: HeaderBlock) -> Piece:
        body = self.view[part.body_start : part.body_end]
        if is_clean(body):
            return body
        self.recoded += 1
        before = list(headers.fields)
        made = _recode(bytes(body), part.content_type, part.encoding, headers)
        self.relabelled |= headers.fields != before
        return made

    def _changes(self) -> list[str]:
        changes = []
        if self.recoded:
            changes.append(
                f"{self.recoded} parts with 8-bit bytes, bare line ends or long lines were made safe."
            )
        if not all(is_clean(self._slice(part)) for part in self.untouched):
            changes.append(LEFT)
        return changes


def _recode(body: bytes, kind: ContentType, encoding: str, headers: HeaderBlock) -> Piece:
    """A leaf's body made safe; `headers` are its own, and told about a new transfer encoding."""
    if encoding in _ARMOURED:
        armoured = _lines(body).translate(_QUESTION_MARKS)
        return wrap_encoded(armoured) if encoding == BASE64 else armoured
    if encoding == YENC:  # of 8-bit bytes by definition, and few readers know it
        body = decoder(YENC).feed(body, last=True)
    quoted = encoding == QUOTED_PRINTABLE
    if quoted:
        fixed = _lines(body)
        if is_clean(fixed):
            return fixed
        body = a2b_qp(body)
    if kind.main in {"text", "message", "multipart"} and not is_wide(kind.charset):
        hidden = _hides_delimiter(body)
        body = fold_lines(_crlf(body)) if kind.name in _HEADERS else _crlf(body)
        if is_clean(body) and not hidden and not quoted:
            return body
        _label(headers, kind, body)
    headers.replace("Content-Transfer-Encoding", "base64")
    return _base64_lines(body)


def _label(headers: HeaderBlock, kind: ContentType, text: bytes) -> None:
    """Say the charset: without one the text would be read as US-ASCII (RFC 2045 section 5.2).

    A multipart without a part is text: base64 is not for multiparts, and nobody can take it apart.
    """
    if kind.main == "message":
        return
    value = headers.content_type
    readable = is_readable(value) and kind.main == "text"
    unlabelled = kind.main == "multipart" or says_nothing(kind.charset)
    if unlabelled and not text.isascii():
        charset = charset_of(kind, text)
    elif readable:
        return
    else:
        charset = "utf-8" if unlabelled else kind.charset
    headers.replace("Content-Type", labelled(value if value and readable else "text/plain", charset))


def _crlf(text: bytes) -> bytes:
    return _lf(text).replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _lf(text: bytes) -> bytes:
    """End each line with LF: all CR before an LF belong to its line end, others stay."""
    if b"\r\r\n" in text:
        text = _CRS_LF.sub(b"\n", text)
    return text.replace(b"\r\n", b"\n")


def _hides_delimiter(text: bytes) -> bool:
    """Whether a line end in the place of a bare CR could make a delimiter line of what follows it."""
    return b"\r--" in text


def _lines(text: bytes) -> bytes:
    """End each line with CRLF where that makes no delimiter line."""
    if _hides_delimiter(text):
        text = _lf(text).replace(b"\r", b" ")
    return _crlf(text)


def _between(gap: memoryview) -> Piece:
    """Delimiters, preambles and epilogues: nobody sees their text, so what is not ASCII becomes `?`."""
    if is_clean(gap):
        return gap
    text = _lines(bytes(gap)).translate(_QUESTION_MARKS)
    return b"\r\n".join(map(_shortened, text.split(b"\r\n"))) if has_long_line(text) else text


def _shortened(line: bytes) -> bytes:
    """A line of a preamble or epilogue, cut into some, or a delimiter without the spaces behind it."""
    if len(line) <= LONGEST or line.startswith(b"--"):
        return line if len(line) <= LONGEST else line.rstrip(b" \t")
    return b"\r\n ".join(line[at : at + LONGEST - 1] for at in range(0, len(line), LONGEST - 1))


def _base64_lines(data: bytes) -> Piece:
    """Encode block by block: all lines as objects of their own would have several times the size of it."""
    lines = bytearray()
    for start in range(0, len(data), _BLOCK):
        text = b2a_base64(data[start : start + _BLOCK], newline=False)
        lines += b"\r\n" if lines else b""
        lines += b"\r\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    return memoryview(lines)
