"""A draft put together into the MIME that is sent: its source, what was changed, what was attached."""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formataddr
from typing import Any

from sandbox.head import read_head, value_of

HEADERS = {
    "toRecipients": "To",
    "ccRecipients": "Cc",
    "bccRecipients": "Bcc",
    "replyTo": "Reply-To",
    "from": "From",
    "subject": "Subject",
    "internetMessageId": "Message-ID",
}
BOUNDARY = re.compile(r'multipart/(\w+)\b.*?;\s*boundary="?([^";]+)"?', re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Attachment:
    """A file of a draft."""

    name: str
    content_type: str
    content: bytes
    is_inline: bool = False
    content_id: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def compose(mime: bytes, changed: dict[str, Any], attachments: list[Attachment]) -> bytes:
    """`mime` with the properties `changed` in its header and `attachments` as further parts.

    All bytes that neither concerns stay as they are.
    """
    replaced = {HEADERS[name].lower(): value for name, value in changed.items() if name in HEADERS}
    head = read_head(mime)
    fields = [raw for name, raw in head.fields if name not in replaced]
    fields += [_field(name, changed[name]) for name in HEADERS if changed.get(name)]
    if not attachments:
        return b"\r\n".join(fields) + b"\r\n\r\n" + mime[head.body :]
    content = [raw for raw in fields if raw[:8].lower() == b"content-"]
    rest = [raw for raw in fields if raw[:8].lower() != b"content-"]
    entity = _entity(content, mime[head.body :], attachments)
    mime_version = [] if any(raw[:13].lower() == b"mime-version:" for raw in rest) else [b"MIME-Version: 1.0"]
    return b"\r\n".join([*rest, *mime_version, entity])


def _entity(content: list[bytes], body: bytes, attachments: list[Attachment]) -> bytes:
    """Inline files join or make a multipart/related, all others a multipart/mixed around it."""
    inline = [file for file in attachments if file.is_inline]
    others = [file for file in attachments if not file.is_inline]
    entity = b"\r\n".join(content or [b"Content-Type: text/plain"]) + b"\r\n\r\n" + body
    kind, boundary = _multipart(content)
    if kind == "mixed":
        return _joined(entity, boundary, attachments)
    if inline:
        entity = (
            _joined(entity, boundary, inline) if kind == "related" else _wrapped(entity, "related", inline)
        )
    return _wrapped(entity, "mixed", others) if others else entity


def _multipart(content: list[bytes]) -> tuple[str, str]:
    for raw in content:
        if raw[:13].lower() == b"content-type:" and (found := BOUNDARY.match(value_of(raw))):
            return found[1].lower(), found[2]
    return "", ""


def _joined(entity: bytes, boundary: str, attachments: list[Attachment]) -> bytes:
    """`entity`, a multipart, with more parts before its closing delimiter."""
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    opened = entity.rpartition(b"\r\n" + delimiter + b"--")[0] or entity
    parts = [delimiter + b"\r\n" + _part(file) for file in attachments]
    return b"\r\n".join([opened, *parts, delimiter + b"--", b""])


def _wrapped(entity: bytes, kind: str, attachments: list[Attachment]) -> bytes:
    boundary = f"_sandbox_{uuid.uuid4().hex}_"
    start = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
    return _joined(start + entity + f"\r\n--{boundary}--".encode(), boundary, attachments)


def _part(file: Attachment) -> bytes:
    part = Message()
    major, _, minor = file.content_type.partition("/")
    fits = minor and major.lower() not in ("message", "multipart") and file.content_type.isprintable()
    part["Content-Type"] = file.content_type if fits else "application/octet-stream"
    name = file.name if file.name.isascii() else ("utf-8", "", file.name)
    part.add_header("Content-Disposition", "inline" if file.is_inline else "attachment", filename=name)
    part["Content-Transfer-Encoding"] = "base64"
    if file.content_id:
        part["Content-ID"] = f"<{file.content_id}>"
    lines = [f"{key}: {value}" for key, value in part.items()]
    head = "\r\n".join(" ".join(line.split()) for line in lines).encode()
    return head + b"\r\n\r\n" + base64.encodebytes(file.content).replace(b"\n", b"\r\n").rstrip(b"\r\n")


def _field(name: str, value: Any) -> bytes:
    people = value if isinstance(value, list) else [value]
    if name in {"subject", "internetMessageId"}:
        text = " ".join(str(value).split())
    else:
        text = ", ".join(
            formataddr(
                (str(person["emailAddress"].get("name") or ""), str(person["emailAddress"]["address"]))
            )
            for person in people
        )
    return f"{HEADERS[name]}: {text}".encode()
