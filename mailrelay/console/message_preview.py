"""A look into the content of a message: headers, text, HTML, attachments and source, all of it untrusted.

HTML is an answer of its own whose policy lets nothing run and nothing be fetched; the page shows it in a
sandboxed frame. Everything else is text that the template escapes, or a file that browsers only save.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from itertools import islice
from typing import Any, cast

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin

from mailrelay.console import cells
from mailrelay.console.protection import CONTENT_SECURITY_POLICY
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.filename import filename
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.opening import read_top
from mailrelay.mime.parts import index_source
from mailrelay.mime.source import InMemory
from mailrelay.models import Message
from mailrelay.outbox import content
from mailrelay.outbox.errors import ContentRemovedError

#: Bytes of a mail that is taken apart in memory; of a larger one the page shows the headers.
LARGEST = 5 * 1024 * 1024
#: Characters of the text and of the source that the page shows.
SHOWN = 100_000
#: The page may frame what this site answers, and nothing else.
PAGE_POLICY = f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"
#: No script, no form, no request: pictures are those that the mail itself carries as data.
HTML_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
#: What `email` raises of hostile mail: of parameters that are none, of parts within parts without end.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
#: Characters of a header that are read for what they mean, the squares of all that are read of one mail, some
#: seconds of the worst of them, and the parts of a mail that is taken apart.
MEANT, EFFORT, MOST_PARTS = 4096, 400_000_000, 5000
#: Encodings of host names, which no mail has, and whose cost grows with the square of a text.
NO_CHARSETS = frozenset({"idna", "punycode"})
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


def of(message: Message) -> Preview:
    """Read `message`. Raises ContentRemovedError when its content is not kept any more."""
    if message.size > LARGEST:
        return _headers_only(_first_piece(message), "is too large to be taken apart here")
    raw = _raw(message)
    try:
        return _taken_apart(raw)
    except BROKEN:
        return _headers_only(raw, "is not made as mail is, and cannot be taken apart")


def _taken_apart(raw: bytes) -> Preview:
    mail, charset = _parsed(raw), _charset_of_names(raw)
    files = [
        Attachment(number, _name(part, charset), part.get_content_type(), cells.size(len(_bytes(part))))
        for number, part in enumerate(_files(mail))
    ]
    has_html = _body(mail, "html") is not None
    return Preview(_headers(raw), _text(_body(mail, "plain"))[:SHOWN], has_html, files, _source(raw))


@xframe_options_sameorigin
def html(_request: object, message: Message) -> HttpResponse:
    """Answer the HTML of `message` for the sandboxed frame. Raises ContentRemovedError, as `of` does."""
    raw = _raw(message) if message.size <= LARGEST else b""
    try:
        shown = _text(_body(_parsed(raw), "html"))
    except BROKEN:
        shown = ""
    return HttpResponse(
        shown,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": HTML_POLICY, **_PRIVATE, "Referrer-Policy": "no-referrer"},
    )


def attachment(message: Message, number: int) -> HttpResponse | None:
    """Answer a file of `message` to save, or None when it has no such file."""
    raw = _raw(message) if message.size <= LARGEST else b""
    try:
        part = next(islice(_files(_parsed(raw)), number, None), None) if raw else None
        if part is None:
            return None
        name, data = _name(part, _charset_of_names(raw)), _bytes(part)
    except BROKEN:
        return None
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


_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _raw(message: Message) -> bytes:
    if message.content_removed_at is not None:
        raise ContentRemovedError("The content of this message has been removed.")
    return content.read(message.pk)


def _first_piece(message: Message) -> bytes:
    first = None if message.content_removed_at else next(content.stream(message.pk), None)
    if first is None:
        raise ContentRemovedError("The content of this message has been removed.")
    return first


def _bounded() -> Any:
    """Make a policy for one mail: reading what headers mean costs the square of their length, and raises."""
    left = [EFFORT]

    class Bounded(policy.EmailPolicy):
        def header_fetch_parse(self, name: str, value: str) -> Any:
            read = value[:MEANT]
            left[0] -= len(read) ** 2
            if left[0] < 0:
                raise ValueError("the headers of the parts take too long to read")
            return super().header_fetch_parse(name, read)

    return Bounded()


def _parsed(raw: bytes) -> EmailMessage:
    """Take a mail apart. Raises ValueError for one of so many parts that it would take long."""
    if raw.count(b"\n--") > MOST_PARTS:
        raise ValueError("a mail of too many parts")
    return cast("EmailMessage", BytesParser(policy=_bounded()).parsebytes(raw))


def _headers_only(first: bytes, why: str) -> Preview:
    return Preview(_headers(first), "", False, [], _source(first), f"This mail {why}")


def _headers(raw: bytes) -> list[tuple[str, str]]:
    """List the fields as they were sent, raw 8-bit text in the charset that the mail tells."""
    return [(field.name, field.value) for field in read_top(raw).fields]


def _charset_of_names(raw: bytes) -> str:
    source = InMemory(raw)
    index_source(source)
    return source.charset


def _body(mail: EmailMessage, kind: str) -> EmailMessage | None:
    wanted = f"text/{kind}"
    parts = (part for part in _leaves(mail) if part.get_content_type() == wanted)
    return next((part for part in parts if not _is_file(part)), None)


def _files(mail: EmailMessage) -> Iterator[EmailMessage]:
    bodies = (_body(mail, "plain"), _body(mail, "html"))
    return (part for part in _leaves(mail) if all(part is not body for body in bodies))


def _leaves(mail: EmailMessage) -> Iterator[EmailMessage]:
    """List the parts that hold bytes; a mail inside the mail is one file."""
    if mail.get_content_type() == "message/rfc822" or not mail.is_multipart():
        yield mail
        return
    for part in mail.iter_parts():
        yield from _leaves(cast("EmailMessage", part))


def _is_file(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _name(part: EmailMessage, charset: str) -> str:
    """Return the name of a file without what would lead elsewhere on somebody's disk.

    `charset` is that of raw 8-bit names in its mail.
    """
    lines = (f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in part.raw_items())
    headers = HeaderBlock.parse(b"".join(lines), charset)
    name = filename(headers, parse_content_type(headers.content_type))
    clean = "".join(letter for letter in name if letter.isprintable()).strip(". ")
    return clean[:150] or ("message.eml" if part.get_content_type() == "message/rfc822" else "attachment")


def _bytes(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        return b"".join(
            cast("EmailMessage", inner).as_bytes(policy=policy.compat32) for inner in part.iter_parts()
        )
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage | None) -> str:
    if part is None:
        return ""
    data = _bytes(part)
    charset = part.get_content_charset("utf-8")
    try:
        found = codecs.lookup(charset).name
        return data.decode("utf-8" if found in NO_CHARSETS else found, errors="replace")
    except (LookupError, ValueError):  # a charset that is none, or that is no charset of text
        return data.decode("utf-8", errors="replace")


def _source(raw: bytes) -> str:
    return raw[:SHOWN].decode("utf-8", errors="replace")
