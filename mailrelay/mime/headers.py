"""The top header block of a message, whose untouched fields stay byte for byte."""

import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from mailrelay.mime.contenttype import is_readable, is_usable, parse_content_type
from mailrelay.mime.decoding import decode_bytes, read_escaped, read_raw
from mailrelay.mime.words import decode_words, storable

__all__ = [
    "PREFACE",
    "Buffer",
    "Field",
    "HeaderBlock",
    "decode_words",
    "fields_end",
    "header_start",
    "make_field",
    "storable",
]

# What a regular expression reads without a copy.
Buffer = bytes | bytearray | memoryview | mmap.mmap

#: Bytes at the start of a message in which its header begins, or it has none.
PREFACE = 4096
_NAME = rb"[!-9;-~]++"
_FIRST = re.compile(_NAME + rb"[ \t]*+:")
# Lines that begin a field or go on with one. A repeated group takes memory for each round, hence the limit.
_LINES = rb"(?>(?:(?:%b" + _NAME + rb"[ \t]*+:|[ \t])[^\n]*+(?:\n|\Z)){1,500})"
_FIELD_LINES = re.compile(_LINES % b"")
_PART_FIELD_LINES = re.compile(_LINES % b"(?!--)")
_FIELD_BREAK = re.compile(rb"\n(?![ \t])")
_BLANK = re.compile(rb"\r*+\n")
# With the date of the C library's asctime, as all of https://www.rfc-editor.org/rfc/rfc4155 dialects have it.
_MBOX = re.compile(
    rb">?From (?>[^\n]*?[ \t](?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?[ \t]+"
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[ \t])[^\n]*+\n(?=" + _NAME + rb"[ \t]*+:)"
)
# Without a date only where fields of mail follow.
_FROM_LINE = re.compile(rb">?From (?![ \t]*:)[^\n]*+\n")
_BOM = b"\xef\xbb\xbf"
_BEFORE = re.compile(rb"[ \t\r\n]*+(?:%b[ \t\r\n]*+)?" % _BOM)
_EACH_NAME = re.compile(rb"^(" + _NAME + rb")[ \t]*+:", re.MULTILINE)
#: Fields of which a header that was meant as one has at least two.
_TOP_FIELDS = frozenset(
    b"from to cc bcc subject date message-id reply-to sender received return-path mime-version".split()
)
_LINE_END = re.compile(rb"(?<!\r)\r*+\n")
_EMPTY_FOLD = re.compile(rb"\r\n[ \t]++(?=\r\n)")
_NAME_TEXT = re.compile(r"[!-9;-~]+")
_FOLD = re.compile(r"\r\n(?=[ \t])")
_BREAK = re.compile("[\r\n\0]")


@dataclass(slots=True, frozen=True)
class Field:
    """One header field: `raw` is the whole of it, with the name, its folds and the last CRLF."""

    name: str
    raw: bytes
    key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.name.lower())

    @property
    def value(self) -> str:
        """The unfolded value."""
        data = self.raw[len(self.name) + 1 :].replace(b"\r\n", b"").strip(b" \t")
        return data.decode() if data.isascii() else decode_bytes(data)


def make_field(name: str, value: str) -> Field:
    r"""A field from a name and a value, which may be folded with CRLF and a space.

    Raises ValueError for a CR, LF or NUL anywhere else: nothing can inject a header.
    """
    if not _NAME_TEXT.fullmatch(name):
        raise ValueError("a header name is printable ASCII without spaces and colons")
    if _BREAK.search(_FOLD.sub("", value)):
        raise ValueError(f"the value of {name} has a line break or a NUL in it")
    return Field(name, f"{name}: {value}\r\n".encode("utf-8", "replace"))


class HeaderBlock:
    """The fields before the first blank line, in order; `body_offset` is where the body begins.

    Raw 8-bit text in them is UTF-8; `guessed` says that nothing tells what some of it was before.
    """

    __slots__ = ("body_offset", "fields", "guessed")

    def __init__(self, fields: Iterable[Field] = (), body_offset: int = 0, *, guessed: bool = False) -> None:
        self.fields = list(fields)
        self.body_offset = body_offset
        self.guessed = guessed

    @classmethod
    def parse(cls, raw: Buffer, charset: str = "") -> Self:
        """Read the header block at the start of `raw`. Any bytes are taken; nothing is raised.

        A line that is neither a field nor a fold ends the block and begins the body, as in
        Postfix. Bare LF ends a line, bare CR and NUL become a space, a fold of nothing but spaces
        is dropped and so is what stands before a header (`fields_end`). Raw 8-bit text is UTF-8, else
        in the charset that the block's Content-Type declares, else in `charset`, else Western European.
        """
        start, end = fields_end(raw)
        blank = _BLANK.match(raw, end)
        block = cls(_split(bytes(raw[start:end])), blank.end() if blank else end)
        block._make_unicode(charset)
        return block

    def _make_unicode(self, charset: str) -> None:
        raw = [
            number
            for number, field in enumerate(self.fields)
            if not field.raw.isascii() or b"\x1b" in field.raw
        ]
        declared = parse_content_type(self.content_type).charset if raw else ""
        for number in raw:
            field = self.fields[number]
            if field.raw.isascii():
                text = read_escaped(field.raw, (declared, charset))
                self.fields[number] = Field(field.name, text.encode()) if text else field
                continue
            text = read_raw(field.raw, (declared, charset))
            self.guessed = self.guessed or text is None
            text = decode_bytes(field.raw) if text is None else text
            self.fields[number] = Field(field.name, text.encode())

    @property
    def content_type(self) -> str | None:
        """The unfolded value of the Content-Type that counts: the first that can be used, else the first."""
        field = self._content_type()
        return field.value if field else None

    def settle_content_type(self) -> bool:
        """Leave of several Content-Type fields the one that counts; whether there were others."""
        kept = self._content_type()
        before = len(self.fields)
        self.fields = [field for field in self.fields if field.key != "content-type" or field is kept]
        return len(self.fields) != before

    def _content_type(self) -> Field | None:
        named = self.named("Content-Type")
        for fits in (is_usable, is_readable):
            if found := next((field for field in named if fits(field.value)), None):
                return found
        return named[0] if named else None

    def copy(self) -> Self:
        """Another block of the same fields."""
        return type(self)(self.fields, self.body_offset, guessed=self.guessed)

    def get(self, name: str) -> str | None:
        """The unfolded value of the first field of that name that has one, else of the first."""
        key = name.lower()
        values = (field.value for field in self.fields if field.key == key)
        first = next(values, None)
        return first or next(filter(None, values), first)

    def get_all(self, name: str) -> list[str]:
        """The unfolded values of all fields of that name, in order."""
        return [field.value for field in self.named(name)]

    def named(self, *names: str) -> list[Field]:
        """All fields of these names, in order."""
        keys = {name.lower() for name in names}
        return [field for field in self.fields if field.key in keys]

    def remove(self, *names: str) -> int:
        """Take all fields of these names out; how many there were."""
        keys = {name.lower() for name in names}
        before = len(self.fields)
        self.fields = [field for field in self.fields if field.key not in keys]
        return before - len(self.fields)

    def replace(self, name: str, value: str) -> None:
        """Make one field of that name, where the first stood or else at the end."""
        made, key = make_field(name, value), name.lower()
        at = next((n for n, field in enumerate(self.fields) if field.key == key), len(self.fields))
        self.fields[at:] = [made, *(field for field in self.fields[at:] if field.key != key)]

    def append(self, name: str, value: str) -> None:
        """Add a field at the end."""
        self.fields.append(make_field(name, value))

    def prepend(self, name: str, value: str) -> None:
        """Add a field at the top."""
        self.fields.insert(0, make_field(name, value))

    def as_bytes(self) -> bytes:
        """The block with the blank line that ends it, CRLF throughout."""
        return b"".join(field.raw for field in self.fields) + b"\r\n"


def fields_end(raw: Buffer, start: int = 0, *, in_part: bool = False) -> tuple[int, int]:
    """Where the fields at `start` begin (behind what `header_start` forgives) and end, as offsets in bytes.

    Inside a multipart (`in_part`) a line that begins with two hyphens is no field.
    """
    first = end = start if in_part else start + header_start(raw[start : start + PREFACE])
    lines = _PART_FIELD_LINES if in_part else _FIELD_LINES
    match = _FIRST.match(raw, first)  # a fold has a field before it
    while match and (match := lines.match(raw, end)):
        end = match.end()
    return first, end


def header_start(raw: Buffer) -> int:
    """How many bytes stand before the header: a byte order mark, blanks, the `From ` line of an mbox.

    Text that begins like this is text. The line of an mbox has a date, and a field follows it; behind blanks,
    and behind such a line without a date, two fields of mail follow each other: a blank line alone ends an
    empty header. `raw` may be the first `PREFACE` bytes of a message: what is beyond them is not looked at.
    """
    raw = bytes(raw[:PREFACE])
    before = _BEFORE.match(raw)
    start = before.end() if before else 0
    if mbox := _MBOX.match(raw, start):
        return mbox.end()
    line = _FROM_LINE.match(raw, start)
    if line and _is_header(raw, line.end()):
        return line.end()
    if raw[:start] not in {b"", _BOM} and not _is_header(raw, start):
        return 0
    return start if _FIRST.match(raw, start) else 0


def _is_header(raw: bytes, start: int) -> bool:
    return len(_names(raw, start) & _TOP_FIELDS) >= 2


def _names(raw: bytes, start: int) -> set[bytes]:
    lines = _FIELD_LINES.match(raw, start) if _FIRST.match(raw, start) else None
    return {name.lower() for name in _EACH_NAME.findall(lines[0])} if lines else set()


def _split(block: bytes) -> list[Field]:
    if not block.endswith(b"\n"):
        block += b"\r\n"
    lines = block.count(b"\n")
    if lines != block.count(b"\r\n") or lines != block.count(b"\r") or b"\0" in block:
        block = _tidy(block)
    return [_field(line) for line in _FIELD_BREAK.split(_EMPTY_FOLD.sub(b"", block)) if b":" in line]


def _field(line: bytes) -> Field:
    """A field from its lines, of which the last has no LF behind its CR."""
    name, _, value = line.partition(b":")
    name = name.rstrip(b" \t")
    return Field(name.decode("ascii"), b"%b:%b\n" % (name, value))


def _tidy(block: bytes) -> bytes:
    """End lines with CRLF; a bare CR or a NUL could hide a field from us that Exchange sees."""
    lines = _LINE_END.sub(b"\n", block).replace(b"\r", b" ").replace(b"\0", b" ")
    return lines.replace(b"\n", b"\r\n")
