"""A look into the content of a message: headers, text, HTML, attachments and source, all of it untrusted.

HTML is an answer of its own whose policy lets nothing run and nothing be fetched; the page shows it in a
sandboxed frame. Everything else is text that the template escapes, or a file that browsers only save.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin

from mailrelay import memory
from mailrelay.console import cells
from mailrelay.console.protection import CONTENT_SECURITY_POLICY
from mailrelay.mime.charset import text_of
from mailrelay.mime.decoders import decoder
from mailrelay.mime.filename import name_or_default
from mailrelay.mime.opening import read_top
from mailrelay.mime.outline import Outline, Role
from mailrelay.mime.source import InMemory
from mailrelay.models import Message
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.keeping import content

#: Bytes of a mail that is taken apart in memory, half as many where memory is short; of a larger one the page
#: shows the headers. A text of as many bytes takes four times as much, so that one mail is opened at a time.
LARGEST = 5 * 1024 * 1024
_turn = threading.Lock()
#: Characters of the text and of the source that the page shows.
SHOWN = 100_000
#: The page may frame what this site answers, and nothing else.
PAGE_POLICY = f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"
#: No script, no form, no request: pictures are those that the mail itself carries as data.
HTML_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
#: Lines that may part a mail that is taken apart.
MOST_PARTS = 5000
FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True, slots=True)
class Attachment:
    number: int
    name: str
    kind: str
    size: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What the page shows; `left_whole` says why a mail was not taken apart, empty if it was."""

    headers: list[tuple[str, str]]
    text: str
    has_html: bool
    attachments: list[Attachment]
    source: str
    left_whole: str = ""


class _Mail:
    """A mail that was taken apart."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.outline = Outline(InMemory(raw))

    def body(self, kind: str) -> int | None:
        """Find the first text of that kind; plain is also what only looks like parts."""
        for number, part in enumerate(self.outline.parts):
            plain = kind == "plain" and part.content_type.main == "multipart"
            if self.outline.roles[number] is Role.TEXT and (
                plain or part.content_type.name == f"text/{kind}"
            ):
                return number
        return None

    def files(self) -> Iterator[int]:
        """List everything that the page does not show as a text; a mail inside the mail is one file."""
        bodies = (self.body("plain"), self.body("html"))
        return (number for number in self.outline.leaves() if number not in bodies)

    def content(self, number: int) -> bytes:
        part = self.outline.parts[number]
        data = self._raw[part.body_start : part.body_end]
        return decoder(part.encoding).feed(data, last=True) if part.is_leaf else data

    def text(self, number: int | None, most: int | None = None) -> str:
        """Return a text, of its first `most` bytes where that is given: whole lines of them."""
        if number is None:
            return ""
        data = self.content(number)
        if most is not None and len(data) > most:
            data = data[:most].rpartition(b"\n")[0] or data[:most]
        return text_of(self.outline.parts[number].content_type, data)

    def name(self, number: int) -> str:
        """Return the name of a file without what would lead elsewhere on somebody's disk."""
        name = name_or_default(self.outline.headers(number), self.outline.parts[number].content_type)
        clean = "".join(letter for letter in name if letter.isprintable()).strip(". ")
        return clean[:150] or "attachment"


def of(message: Message) -> Preview:
    """Read `message`. Raises ContentRemovedError when its content is not kept any more."""
    if message.size > _largest():
        return _headers_only(_first_piece(message), "is too large to be taken apart here")
    with _turn:
        return _of(_raw(message))


def _of(raw: bytes) -> Preview:
    if _has_too_many_parts(raw):
        return _headers_only(raw, "has too many parts to be taken apart here")
    mail = _Mail(raw)
    files = [
        Attachment(index, mail.name(number), mail.outline.kind(number), cells.size(len(mail.content(number))))
        for index, number in enumerate(mail.files())
    ]
    has_html = mail.body("html") is not None
    text = mail.text(mail.body("plain"), 4 * SHOWN)[:SHOWN]
    return Preview(_headers(raw), text, has_html, files, _source(raw))


@xframe_options_sameorigin
def html(_request: object, message: Message) -> HttpResponse:
    """Answer the HTML of `message` for the sandboxed frame. Raises ContentRemovedError, as `of` does."""
    with _turn:
        mail = _opened(message)
        shown = mail.text(mail.body("html")).encode("utf-8", "replace") if mail else b""
    return HttpResponse(
        shown,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": HTML_POLICY, **_PRIVATE, "Referrer-Policy": "no-referrer"},
    )


def attachment(message: Message, number: int) -> HttpResponse | None:
    """Answer a file of `message` to save, or None when it has no such file."""
    with _turn:
        mail = _opened(message)
        found = next(islice(mail.files(), number, None), None) if mail else None
        if mail is None or found is None:
            return None
        name, data = mail.name(found), mail.content(found)
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return HttpResponse(
        data,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": disposition,
            "Content-Security-Policy": FILE_POLICY,
            **_PRIVATE,
        },
    )


def _largest() -> int:
    return min(LARGEST, memory.scaled(2 * LARGEST))


_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _raw(message: Message) -> bytes:
    if message.content_removed_at is not None:
        raise ContentRemovedError("The content of this message has been removed.")
    return content.read(message.pk)


def _opened(message: Message) -> _Mail | None:
    """Take a mail apart, unless that takes long."""
    raw = _raw(message) if message.size <= _largest() else b""
    return _Mail(raw) if raw and not _has_too_many_parts(raw) else None


def _has_too_many_parts(raw: bytes) -> bool:
    return raw.count(b"\n--") > MOST_PARTS


def _first_piece(message: Message) -> bytes:
    first = None if message.content_removed_at else next(content.stream(message.pk), None)
    if first is None:
        raise ContentRemovedError("The content of this message has been removed.")
    return first


def _headers_only(first: bytes, why: str) -> Preview:
    return Preview(_headers(first), "", False, [], _source(first), f"This mail {why}")


def _headers(raw: bytes) -> list[tuple[str, str]]:
    """List the fields as they were sent, raw 8-bit text in the charset that the mail tells."""
    return [(field.name, field.value) for field in read_top(raw).fields]


def _source(raw: bytes) -> str:
    return raw[:SHOWN].decode("utf-8", errors="replace")
