"""Reading non-delivery reports in the Inbox of a sender. Needs Mail.Read, or Mail.ReadWrite.

https://learn.microsoft.com/graph/api/mailfolder-list-messages, and for the source of one message
https://learn.microsoft.com/graph/outlook-get-mime-message. Exchange marks its reports by their message class
(PidTagMessageClass of [MS-OXCMAIL]: `REPORT.IPM.Note.NDR`); those of other servers arrive as mail from their
postmaster.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import Message as Part
from typing import Any
from urllib.parse import quote

from mailrelay.graph.calls import Caller, Response
from mailrelay.graph.folders import moment

#: Messages that one request lists.
PAGE = 50
#: Bytes of a diagnostic that are kept.
LONGEST = 1000
_CLASS = "String 0x001A"
_POSTMASTER = re.compile(r"(postmaster|mailer-daemon|microsoftexchange[0-9a-f]+)@", re.IGNORECASE)
_REPORT = re.compile(r"REPORT\..*\.NDR\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Listed:
    """A message of the Inbox, as far as it tells whether it may be a report."""

    id: str
    received_at: datetime
    may_report: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """What a report says of one recipient."""

    recipient: str
    status: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Report:
    """A non-delivery report: the Message-ID that it is about, without brackets, and who did not get it."""

    message_id: str
    failures: tuple[Failure, ...]


def listed(caller: Caller, since: datetime) -> tuple[list[Listed] | None, Response]:
    """List at most PAGE messages received after `since`, the oldest first; None without an answer."""
    after = quote(f"receivedDateTime gt {since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", safe="")
    expand = quote(f"singleValueExtendedProperties($filter=id eq '{_CLASS}')", safe="$")
    response = caller.request(
        "GET",
        f"/mailFolders/inbox/messages?$filter={after}&$orderby=receivedDateTime%20asc"
        f"&$select=id,receivedDateTime,from&$expand={expand}&$top={PAGE}",
    )
    found = response.document.get("value")
    if response.status != 200 or not isinstance(found, list):
        return None, response
    return list(_items(found)), response


def _items(found: list[Any]) -> Iterator[Listed]:
    for item in found:
        at = moment(item.get("receivedDateTime")) if isinstance(item, dict) else None
        if at is not None and item.get("id"):
            yield Listed(str(item["id"]), at, _may_report(item))


def _may_report(item: dict[str, Any]) -> bool:
    properties = item.get("singleValueExtendedProperties") or []
    classes = [str(each.get("value", "")) for each in properties if isinstance(each, dict)]
    address = str(((item.get("from") or {}).get("emailAddress") or {}).get("address", ""))
    return any(map(_REPORT.match, classes)) or bool(_POSTMASTER.match(address))


def source(caller: Caller, item_id: str) -> tuple[bytes, Response]:
    """Return the beginning of a message's source: a report stands before the mail that it returns."""
    return caller.fetch(f"/messages/{quote(item_id, safe='')}/$value")


def read(raw: bytes) -> Report | None:
    """Take a report apart (RFC 3464, RFC 6522); None where `raw` is none, or names no message."""
    message = message_from_bytes(raw, policy=policy.compat32)
    if message.get_content_type() != "multipart/report":
        return None
    parts = list(message.walk())
    failures = tuple(failure for part in parts for failure in _failures(part))
    message_id = next(filter(None, map(_original, parts)), "") or _bare(message.get("In-Reply-To"))
    return Report(message_id, failures) if message_id and failures else None


def _failures(part: Part) -> Iterator[Failure]:
    if part.get_content_type() != "message/delivery-status":
        return
    for block in _inside(part):
        if str(block.get("Action", "")).strip().lower() == "failed":
            address = _after_type(block.get("Final-Recipient") or block.get("Original-Recipient"))
            if address:
                diagnostic = _after_type(block.get("Diagnostic-Code"))
                yield Failure(address[:320], str(block.get("Status", "")).strip()[:12], diagnostic[:LONGEST])


def _inside(part: Part) -> list[Part]:
    payload = part.get_payload()
    return [inner for inner in payload if isinstance(inner, Part)] if isinstance(payload, list) else []


def _after_type(value: object) -> str:
    """Return what follows the type of a field such as `rfc822; ann@example.org`, in one line."""
    return " ".join(str(value or "").partition(";")[2].replace("\0", "").split())


def _original(part: Part) -> str:
    """Return the Message-ID of the message that a report gives back, whole or its headers alone."""
    kind = part.get_content_type()
    if kind == "message/rfc822":
        return next((_bare(inner.get("Message-ID")) for inner in _inside(part)), "")
    if kind == "text/rfc822-headers":
        payload = part.get_payload(decode=True)
        return _bare(message_from_bytes(payload).get("Message-ID")) if isinstance(payload, bytes) else ""
    return ""


def _bare(value: object) -> str:
    text = " ".join(str(value or "").split())
    return text.strip("<> ")
