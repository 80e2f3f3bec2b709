"""Reads queries and bodies of requests strictly: a word that is not understood is refused."""

import base64
import binascii
import json
from collections.abc import Collection
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from mailrelay.api.problems import ProblemError, bad_request
from mailrelay.models import Message

#: Bytes of a JSON document that is read.
JSON_LIMIT = 64 * 1024


def query(request: HttpRequest, known: Collection[str]) -> dict[str, str]:
    """Return the parameters that are given, each once. Raises ProblemError for any other."""
    for name in request.GET:
        if name not in known:
            raise bad_request(f"There is no parameter {name[:50]!r} here; there is: {', '.join(known)}.")
        if len(request.GET.getlist(name)) > 1:
            raise bad_request(f"{name} is given more than once.")
        if "\0" in request.GET[name]:
            raise bad_request(f"{name} must not hold NUL.")
    return {name: request.GET[name] for name in known if name in request.GET}


def time(name: str, text: str) -> datetime:
    # A plus sign that was not quoted in the address arrives as a blank.
    try:
        found = parse_datetime(text.replace(" ", "+"))
        if found is not None and found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_request(f"{name} is no time such as 2027-03-31T12:00:00+00:00.")


def number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise bad_request(f"{name} is a number from 1 to {most}.")
    return int(text)


def document(request: HttpRequest, known: dict[str, type]) -> dict[str, Any]:
    """Return the JSON object of the body: members of `known` alone, each of its type, or left out.

    No body at all is an empty one.
    """
    if request.META.get("CONTENT_LENGTH") in {None, "", "0"} and not request.content_type:
        return {}
    if request.content_type != "application/json":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    try:
        found = json.loads(request.read(JSON_LIMIT + 1)[: JSON_LIMIT + 1] or b"{}")
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(found, dict) or not all(
        name in known and type(value) is known[name] for name, value in found.items()
    ):
        wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in known.items()) or "nothing"
        raise bad_request(f"The body is an object that may have: {wanted}.")
    return found


def cursor(row: Message) -> str:
    """Give the place behind `row` in a list, as a word that means nothing to others."""
    text = f"{row.created_at.isoformat()} {row.pk.hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(word: str) -> tuple[datetime, UUID]:
    """Read what `cursor` wrote. Raises ProblemError."""
    try:
        text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True).decode("ascii")
        at, _, pk = text.partition(" ")
        return datetime.fromisoformat(at).astimezone(), UUID(pk)
    except (binascii.Error, ValueError, OverflowError, OSError):
        raise bad_request("cursor is not the next_cursor of a page before.") from None
