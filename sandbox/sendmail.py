"""POST /users/{id}/sendMail, with MIME (text/plain, base64) or JSON."""

from __future__ import annotations

import binascii
from typing import Any

from sandbox.call import Answer, Call, Refusal, too_large
from sandbox.json_message import build, header_names
from sandbox.submission import check_size, examine, owner, send

WHITESPACE = b" \t\r\n"


async def send_mail(call: Call) -> Answer:
    """202 with an empty body is the only success; what it means is in `submission.send`."""
    if content_type(call) == "application/json":
        return await _send_json(call)
    mime = await mime_body(call)
    quirk = call.sandbox.world.behaviour.silent_200_above
    if quirk and len(mime) > quirk:
        call.facts["size"] = len(mime)
        return Answer(200, "ignored")
    check_size(call, len(mime))
    send(call, examine(call, mime, "mime", mime))
    return Answer(202, "applied")


def content_type(call: Call) -> str:
    """The media type, text/plain or application/json; raises Refusal (415) for all else."""
    given = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if given in ("text/plain", "application/json"):
        return given
    message = "A missing or empty content type header was found when trying to read a message."
    if given:
        message += " The content type header is required."
    raise Refusal(415, "RequestBodyRead", message)


async def mime_body(call: Call) -> bytes:
    """The MIME that the request carries; line breaks within the base64 are accepted, as in the samples."""
    raw = await call.body(call.sandbox.world.limits.request_bytes)
    if raw is None:
        raise too_large(call)
    if b"\n" in raw or raw[-1:] in WHITESPACE:
        raw = raw.translate(None, WHITESPACE)
    try:
        return binascii.a2b_base64(raw, strict_mode=True)
    except binascii.Error as error:
        raise Refusal(
            400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
        ) from error


async def _send_json(call: Call) -> Answer:
    data = await call.json(call.sandbox.world.limits.request_bytes)
    message = data.get("message", data.get("Message"))
    if not isinstance(message, dict) or not message:
        raise Refusal(400, "ErrorInvalidParameter", "The value of the parameter 'Message' is empty.")
    check_size(call, call.facts["request_bytes"])
    mail = examine(call, build(message, owner(call).address), "json")
    call.sandbox.store.learn_headers(owner(call).id, header_names(message))
    send(call, mail, save=_flag(data.get("saveToSentItems", True)))
    return Answer(202, "applied")


def _flag(value: Any) -> bool:
    """The samples pass the string "false"."""
    return str(value).lower() != "false"
