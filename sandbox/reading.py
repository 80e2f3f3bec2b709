"""A delivered mail parsed in full, which happens only when somebody looks at it."""

from __future__ import annotations

import base64
import email
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sandbox.head import decoded

if TYPE_CHECKING:
    from email.header import Header
    from email.message import Message

CID = re.compile(r"cid:([^\"'\s)>]+)", re.IGNORECASE)
SAFE_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MOST_SHOWN = 2 * 1024 * 1024  # characters of a body; the rest is in the source


@dataclass(slots=True)
class Part:
    """A leaf of the MIME tree; `content` is decoded from its transfer encoding."""

    content_type: str
    name: str
    content: bytes
    content_id: str = ""


@dataclass(slots=True)
class Reading:
    """What a mail program would show."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    text: str | None = None
    html: str | None = None
    attachments: list[Part] = field(default_factory=list)

    def html_with_images(self) -> str:
        """The HTML with `cid:` images put in as data, since a browser knows no other way to them."""
        images = {part.content_id: part for part in self.attachments if part.content_type in SAFE_IMAGES}

        def put_in(found: re.Match[str]) -> str:
            part = images.get(unquote(found[1]))
            if part is None:
                return found[0]
            return f"data:{part.content_type};base64,{base64.b64encode(part.content).decode()}"

        return CID.sub(put_in, self.html or "")


def read(mime: bytes) -> Reading:
    """Parse `mime`; whatever is malformed is shown as well as it goes."""
    message = email.message_from_bytes(mime)
    reading = Reading(headers=[(name, decoded(_one_line(value))) for name, value in message.items()])
    for part in message.walk():
        if not part.is_multipart():
            _place(reading, part)
    return reading


def _place(reading: Reading, part: Message) -> None:
    kind, payload = part.get_content_type(), part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    is_body = part.get_content_disposition() != "attachment" and not part.get_filename()
    if is_body and kind == "text/plain" and reading.text is None:
        reading.text = _text(part, content)
    elif is_body and kind == "text/html" and reading.html is None:
        reading.html = _text(part, content)
    else:
        name = decoded(part.get_filename() or "") or f"{kind.replace('/', '.')}"
        identifier = str(part.get("Content-ID", "")).strip().strip("<>")
        reading.attachments.append(Part(kind, name, content, identifier))


def _text(part: Message, content: bytes) -> str:
    try:
        text = content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = content.decode("latin-1")
    return text[:MOST_SHOWN]


def _one_line(value: str | Header) -> str:
    return " ".join(str(value).split())
