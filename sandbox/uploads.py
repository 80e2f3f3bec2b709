"""Upload sessions of large attachments, on an origin of their own as Outlook has it."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.call import Answer, Call, Refusal, ok, too_large
from sandbox.composition import Attachment
from sandbox.drafts import Draft, open_draft
from sandbox.graph_api import throttled_refusal
from sandbox.limits import Throttled
from sandbox.store import iso
from sandbox.submission import check_size, owner

if TYPE_CHECKING:
    from sandbox.world import Mailbox

RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
MOST_RANGE = 4 * 1024 * 1024  # bytes
CONTEXT = "https://outlook.office.com/api/v2.0/$metadata#microsoft.graph.uploadSession"


@dataclass(slots=True)
class Session:
    """An attachment on its way; `expires` is Unix time and does not move."""

    draft: Draft
    mailbox: Mailbox
    app_id: str
    item: dict[str, Any]
    size: int
    expires: float
    received: bytearray = field(default_factory=bytearray)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


async def create_session(call: Call) -> Answer:
    """POST attachments/createUploadSession: 201 with the URL to PUT to, which needs no further credential."""
    data = await call.json(call.sandbox.world.limits.request_bytes)
    draft = open_draft(call)
    item = data.get("AttachmentItem", data.get("attachmentItem"))
    if not isinstance(item, dict) or not item.get("name") or item.get("attachmentType") != "file":
        raise Refusal(400, "ErrorInvalidParameter", "The value of the parameter 'AttachmentItem' is empty.")
    session = Session(
        draft=draft,
        mailbox=owner(call),
        app_id=str(call.app_id),
        item=item,
        size=_size(call, item, draft),
        expires=time.time() + call.sandbox.world.limits.upload_session_seconds,
    )
    call.sandbox.store.sessions[session.id] = session
    return ok(
        {"@odata.context": CONTEXT, "uploadUrl": _url(call, session), **_progress(call, session)},
        201,
        "applied",
    )


def _size(call: Call, item: dict[str, Any], draft: Draft) -> int:
    size, limits = item.get("size"), call.sandbox.world.limits
    if not isinstance(size, int):
        raise Refusal(400, "ErrorInvalidParameter", "The value of the parameter 'size' is invalid.")
    if size < limits.upload_session_minimum:
        code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
        raise Refusal(400, code, "Attachment size must be greater than the minimum size.")
    if limits.attachment_bytes and size > limits.attachment_bytes:
        text = "Attachment size exceeds the maximum allowed size."
        raise Refusal(400, "ErrorAttachmentSizeLimitExceeded", text)
    if draft.mime is not None and not call.sandbox.world.behaviour.upload_to_mime_drafts:
        raise Refusal(400, "ErrorInvalidRequest", "The message does not take attachments by upload session.")
    return size


def _url(call: Call, session: Session) -> str:
    path = f"/api/v2.0/Users('{session.mailbox.id}')/Messages('{session.draft.id}')"
    return f"{_origin(call)}{path}/AttachmentSessions('{session.id}')?authtoken={session.token}"


def _origin(call: Call) -> str:
    """The upload site under the host name that this client uses, as it may not be on this machine."""
    port = urlsplit(call.sandbox.upload_url).port
    return str(call.request.url.with_host(call.request.url.host or "localhost").with_port(port).origin())


def _progress(call: Call, session: Session) -> dict[str, Any]:
    return {"expirationDateTime": iso(session.expires), **_expected(call, session, dash=True)}


def _expected(call: Call, session: Session, *, dash: bool) -> dict[str, list[str]]:
    """What is expected next, in the spelling of the documents' samples or in the other one."""
    other = call.sandbox.world.behaviour.other_upload_spelling
    name = "NextExpectedRanges" if other else "nextExpectedRanges"
    return {name: [f"{len(session.received)}{'-' if dash != other else ''}"]}


def identify(call: Call) -> None:
    """Note whose upload this is, for faults, limits and the ledger."""
    session = call.sandbox.store.sessions.get(call.params["session"])
    if session is not None:
        call.app_id, call.mailbox = session.app_id, session.mailbox


def _session(call: Call) -> Session:
    if "Authorization" in call.request.headers:
        text = "The upload URL is pre-authenticated: it takes no Authorization header."
        raise Refusal(401, "InvalidAuthenticationToken", text)
    session = call.sandbox.store.sessions.get(call.params["session"])
    if session is not None and call.has_fault("expire_session"):
        session.expires = 0
    if session is None or session.expires <= time.time() or not session.draft.is_open:
        raise Refusal(404, "uploadSessionNotFound", "The upload session was not found.")
    if call.request.query.get("authtoken") != session.token:
        raise Refusal(401, "InvalidAuthenticationToken", "The authtoken of the upload URL is not valid.")
    return session


async def put_range(call: Call) -> Answer:
    """PUT the next range: 200 with what is expected next, or 201 without a body for the last one."""
    block = await call.body(MOST_RANGE)
    session = _session(call)
    if block is None:
        raise too_large(call)
    _count(call, len(block))
    _check_range(call, session, len(block))
    session.received += block
    if len(session.received) < session.size:
        # The casing and the missing dash are what the service answers here, unlike in the creation.
        expected = {"ExpirationDateTime": iso(session.expires), **_expected(call, session, dash=False)}
        return ok({"@odata.context": CONTEXT, **expected}, 200, "applied")
    return _finish(call, session)


def _count(call: Call, size: int) -> None:
    sandbox = call.sandbox
    try:
        sandbox.limiter.upload(sandbox.world.limits, str(call.app_id), owner(call).id, size)
    except Throttled as throttled:
        raise throttled_refusal(call, throttled) from throttled


def _check_range(call: Call, session: Session, length: int) -> None:
    found = RANGE.match(call.request.headers.get("Content-Range", ""))
    if found is None:
        raise Refusal(400, "invalidRange", "The Content-Range header is missing or malformed.")
    start, end, total = map(int, found.groups())
    if total != session.size or end >= total:
        raise Refusal(416, "invalidRange", "The Content-Range does not fit the size of the session.")
    if end - start + 1 != length:
        raise Refusal(400, "fragmentLengthMismatch", "The body is not as long as the Content-Range says.")
    if start < len(session.received):
        raise Refusal(416, "fragmentOverlap", "The range has been received before.")
    if start > len(session.received):
        raise Refusal(416, "fragmentOutOfOrder", "The range is not the next expected one.")


def _finish(call: Call, session: Session) -> Answer:
    del call.sandbox.store.sessions[session.id]
    draft = session.draft
    check_size(call, sum(len(file.content) for file in draft.attachments) + session.size)
    item = session.item
    attachment = Attachment(
        name=str(item["name"]),
        content_type=str(item.get("contentType") or "application/octet-stream"),
        content=bytes(session.received),
        is_inline=bool(item.get("isInline")),
        content_id=str(item.get("contentId") or ""),
    )
    draft.attachments.append(attachment)
    path = f"/api/v2.0/Users('{session.mailbox.id}')/Messages('{draft.id}')/Attachments('{attachment.id}')"
    return Answer(201, "applied", headers={"Location": _origin(call) + path})


async def progress(call: Call) -> Answer:
    return ok({"@odata.context": CONTEXT, **_progress(call, _session(call))})


async def cancel(call: Call) -> Answer:
    del call.sandbox.store.sessions[_session(call).id]
    return Answer(204, "applied")
