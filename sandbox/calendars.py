"""Sends invitations to the people in their calendar, as public reports have it since July 2025."""

from __future__ import annotations

import email
import re
from email.message import Message
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTENDED = frozenset({"REQUEST", "CANCEL"})
ANSWERED = frozenset({"REPLY"})
FOLD = re.compile(r"\r?\n[ \t]")
LINE = re.compile(r"""(ATTENDEE|ORGANIZER|METHOD)(?:;(?:[^":\n]|"[^"\n]*")*)?:(.*)""", re.IGNORECASE)


def invited(mime: bytes) -> list[str]:
    """The addresses, in lower case, that a message goes to because of its calendars; none without any."""
    if b"calendar" not in mime.lower():
        return []
    people: dict[str, None] = {}
    for part in _calendars(email.message_from_bytes(mime)):
        people |= dict.fromkeys(_people(part))
    return list(people)


def _calendars(part: Message) -> Iterator[Message]:
    """The calendar parts of the message itself, not of those that are attached to it."""
    kind = part.get_content_type()
    if kind == "text/calendar":
        yield part
    elif kind.startswith("multipart/") and part.is_multipart():
        for inner in part.get_payload():
            if isinstance(inner, Message):
                yield from _calendars(inner)


def _people(part: Message) -> list[str]:
    found = [(match[1].upper(), match[2].strip()) for match in map(LINE.match, _lines(part)) if match]
    methods = {value.upper() for name, value in found if name == "METHOD"}
    methods.add(str(part.get_param("method", "")).upper())
    wanted = "ATTENDEE" if methods & ATTENDED else "ORGANIZER" if methods & ANSWERED else ""
    return [
        unquote(value[7:]).lower()
        for name, value in found
        if name == wanted and value[:7].lower() == "mailto:"
    ]


def _lines(part: Message) -> list[str]:
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    try:
        text = data.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = data.decode("utf-8", "replace")
    return FOLD.sub("", text).splitlines()
