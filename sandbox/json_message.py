"""Graph's JSON message resource turned into MIME, with the checks that Graph makes on the way."""

from __future__ import annotations

import base64
import binascii
import uuid
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime
from typing import Any

from sandbox.call import Refusal

MOST_HEADERS = 5
FIELDS = {"toRecipients": "To", "ccRecipients": "Cc", "bccRecipients": "Bcc", "replyTo": "Reply-To"}
# Quoted local parts and the like are for Exchange to judge, not for Python's header registry.
POLICY = SMTP.clone(utf8=False, max_line_length=998)


def header_names(message: dict[str, Any]) -> set[str]:
    return {str(header["name"]).lower() for header in message.get("internetMessageHeaders", ())}


def check_headers(message: dict[str, Any]) -> None:
    """Raise Refusal unless every custom header is an X- header and there are one to five, or no property."""
    if "internetMessageHeaders" not in message:
        return
    headers = message["internetMessageHeaders"]
    if not isinstance(headers, list) or not 0 < len(headers) <= MOST_HEADERS:
        text = "The number of internet message headers is invalid (should be less or equal to 5)."
        raise Refusal(400, "InvalidInternetMessageHeaderCollection", text)
    for header in headers:
        name = str(header.get("name", ""))
        if not name.lower().startswith("x-"):
            text = f"The internet message header name '{name}' should start with 'x-' or 'X-'."
            raise Refusal(400, "InvalidInternetMessageHeader", text)


def build(message: dict[str, Any], sender: str) -> bytes:
    """The MIME form of `message`: one body only, HTML or text, as Graph's resource has no room for two."""
    check_headers(message)
    mail = EmailMessage(POLICY)
    mail["From"] = _address(message["from"]) if message.get("from") else sender
    for name, field in FIELDS.items():
        if message.get(name):
            mail[field] = ", ".join(_address(recipient) for recipient in message[name])
    mail["Subject"] = " ".join(str(message.get("subject") or "").split())
    mail["Date"] = format_datetime(localtime())
    given = message.get("internetMessageId")
    mail["Message-ID"] = given or f"<{uuid.uuid4()}@sandbox.prod.outlook.test>"
    if message.get("importance"):
        mail["Importance"] = str(message["importance"])
    for header in message.get("internetMessageHeaders", ()):
        mail[str(header["name"])] = str(header.get("value", ""))
    body = message.get("body") or {}
    subtype = "html" if str(body.get("contentType", "text")).lower() == "html" else "plain"
    mail.set_content(str(body.get("content", "")), subtype=subtype, cte="base64")
    for attachment in message.get("attachments", ()):
        attach(mail, attachment, attachment_content(attachment))
    return mail.as_bytes()


def attach(mail: EmailMessage, attachment: dict[str, Any], content: bytes) -> None:
    """Add a file; an inline one becomes related to the HTML that refers to it by its contentId."""
    major, _, minor = str(attachment.get("contentType") or "application/octet-stream").partition("/")
    if major in ("message", "multipart") or not minor:
        major, minor = "application", "octet-stream"
    name = str(attachment.get("name") or "attachment")
    if attachment.get("isInline") and attachment.get("contentId"):
        root = mail.get_body(("html", "plain")) or mail
        identifier = f"<{attachment['contentId']}>"
        root.add_related(content, major, minor, cid=identifier, filename=name, disposition="inline")
    else:
        mail.add_attachment(content, major, minor, filename=name)


def attachment_content(attachment: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(attachment.get("contentBytes") or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "RequestBodyRead", "Cannot convert contentBytes to Edm.Binary.") from error


def _address(recipient: Any) -> str:
    try:
        mailbox = recipient["emailAddress"]
        return formataddr((str(mailbox.get("name") or ""), str(mailbox["address"])))
    except (KeyError, TypeError, AttributeError) as error:
        raise Refusal(400, "RequestBodyRead", "A recipient has no emailAddress.") from error
