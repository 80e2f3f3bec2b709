"""Drafts: create from JSON or MIME, read, change, delete, attach, send."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.call import Answer, Call, Refusal, ok
from sandbox.composition import Attachment, compose
from sandbox.json_message import attachment_content, build, check_headers, header_names
from sandbox.sendmail import content_type, mime_body
from sandbox.store import iso
from sandbox.submission import check_size, examine, header_of, identifier_of, owner, send

WRITABLE = frozenset(
    [
        "subject",
        "body",
        "from",
        "sender",
        "toRecipients",
        "ccRecipients",
        "bccRecipients",
        "replyTo",
        "importance",
        "isRead",
        "categories",
        "flag",
        "internetMessageHeaders",
        "internetMessageId",
        "singleValueExtendedProperties",
        "attachments",
        "inferenceClassification",
        "isDeliveryReceiptRequested",
        "isReadReceiptRequested",
    ]
)
RECIPIENTS = {"toRecipients": "to", "ccRecipients": "cc", "bccRecipients": "bcc", "replyTo": "reply-to"}


@dataclass(slots=True)
class Draft:
    """A message not yet sent; afterwards what is left of it in Sent Items.

    `id` is lost when the message moves to Sent Items, `immutable_id` is not (Prefer: IdType="ImmutableId").
    `mime` is None for a draft made from JSON; `changed` holds what PATCH said about one made from MIME.
    """

    mailbox: str
    resource: dict[str, Any]
    mime: bytes | None
    id: str = field(default_factory=lambda: _identifier("AAMkAG"))
    immutable_id: str = field(default_factory=lambda: _identifier("AAkALg"))
    attachments: list[Attachment] = field(default_factory=list)
    changed: dict[str, Any] = field(default_factory=dict)
    is_open: bool = True
    visible_at: float = 0.0
    created: float = field(default_factory=time.time)


def _identifier(prefix: str) -> str:
    return prefix + base64.urlsafe_b64encode(uuid.uuid4().bytes + uuid.uuid4().bytes).decode()


def find(call: Call) -> Draft:
    """The message that the URL names; raises Refusal (404) when it is gone or on its way."""
    draft = call.sandbox.store.drafts.get(call.params["message"])
    if draft is None or draft.mailbox != owner(call).id or draft.visible_at > time.time():
        raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return draft


def open_draft(call: Call) -> Draft:
    draft = find(call)
    if not draft.is_open:
        raise Refusal(400, "ErrorInvalidOperation", "The message has been sent and can't be changed.")
    return draft


async def create(call: Call) -> Answer:
    """POST messages: 201 with the draft."""
    if content_type(call) == "application/json":
        resource = _checked(await call.json(call.sandbox.world.limits.request_bytes))
        attachments = [_file(item) for item in resource.pop("attachments", ())]
        resource.setdefault("internetMessageId", f"<{uuid.uuid4()}@sandbox.prod.outlook.test>")
        build(resource, owner(call).address)
        draft = Draft(owner(call).id, resource, None, attachments=attachments)
    else:
        draft = _from_mime(call, await mime_body(call))
    call.sandbox.store.add_draft(draft)
    call.facts["draft"] = draft.immutable_id
    return ok(_view(call, draft), 201, "applied")


def _from_mime(call: Call, mime: bytes) -> Draft:
    if not call.sandbox.world.behaviour.mime_drafts:
        raise Refusal(400, "ErrorInvalidRequest", "MIME content is not supported for this request.")
    head = header_of(call, mime)
    resource: dict[str, Any] = {
        "subject": head.first("subject"),
        "internetMessageId": identifier_of(call, head),
    }
    for name, header in RECIPIENTS.items():
        resource[name] = [_recipient(pair) for pair in head.addresses(header)]
    if authors := head.addresses("from"):
        resource["from"] = _recipient(authors[0])
    return Draft(owner(call).id, resource, mime)


def _recipient(pair: tuple[str, str]) -> dict[str, Any]:
    return {"emailAddress": {"name": pair[0], "address": pair[1]}}


async def read(call: Call) -> Answer:
    return ok(_view(call, find(call)))


async def change(call: Call) -> Answer:
    """PATCH a draft: 200 with the whole of it."""
    data = _checked(await call.json(call.sandbox.world.limits.request_bytes))
    draft = open_draft(call)
    data.pop("attachments", None)
    draft.resource |= data
    draft.changed |= data
    return ok(_view(call, draft), 200, "applied")


async def delete(call: Call) -> Answer:
    """DELETE a draft, or what was sent by its id in Sent Items."""
    if call.sandbox.store.drop_sent(owner(call).id, call.params["message"]):
        return Answer(204, "applied")
    call.sandbox.store.drop_draft(find(call))
    return Answer(204, "applied")


async def add_attachment(call: Call) -> Answer:
    """POST attachments: a file below 3 MB in one request."""
    item = await call.json(call.sandbox.world.limits.request_bytes)
    draft, attachment = open_draft(call), _file(item)
    check_size(call, sum(len(file.content) for file in (*draft.attachments, attachment)))
    draft.attachments.append(attachment)
    return ok(_attachment_view(attachment), 201, "applied")


async def list_attachments(call: Call) -> Answer:
    return ok({"value": [_attachment_view(attachment) for attachment in find(call).attachments]})


async def send_draft(call: Call) -> Answer:
    """POST send: the draft leaves for Sent Items. Composing a large one happens off the event loop."""
    await call.body(call.sandbox.world.limits.request_bytes)
    draft = open_draft(call)
    mime = await asyncio.to_thread(_composed, draft, owner(call).address)
    mail = examine(call, mime, "draft", draft.mime or b"")
    mail.message_id = str(draft.resource["internetMessageId"])
    open_draft(call)  # another request may have sent it while this one composed
    if draft.mime is None:
        call.sandbox.store.learn_headers(owner(call).id, header_names(draft.resource))
    item = send(call, mail, immutable_id=draft.immutable_id)
    call.sandbox.store.close_draft(draft, item.visible_at if item else 0.0)
    call.facts["draft"] = draft.immutable_id
    return Answer(202, "applied")


def _composed(draft: Draft, sender: str) -> bytes:
    if draft.mime is None:
        mime, changed = build(draft.resource, sender), {}
    else:
        mime, changed = draft.mime, draft.changed
    return compose(mime, changed, draft.attachments)


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    for name in data:
        if name not in WRITABLE and not name.startswith("@odata."):
            text = f"The property '{name}' does not exist on type 'microsoft.graph.message'."
            raise Refusal(400, "RequestBodyRead", text)
    check_headers(data)
    return {name: value for name, value in data.items() if not name.startswith("@odata.")}


def _file(item: dict[str, Any]) -> Attachment:
    if item.get("@odata.type", "#microsoft.graph.fileAttachment") != "#microsoft.graph.fileAttachment":
        raise Refusal(400, "ErrorInvalidRequest", "The sandbox knows fileAttachment alone.")
    return Attachment(
        name=str(item.get("name") or ""),
        content_type=str(item.get("contentType") or "application/octet-stream"),
        content=attachment_content(item),
        is_inline=bool(item.get("isInline")),
        content_id=str(item.get("contentId") or ""),
    )


def _attachment_view(attachment: Attachment) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "id": attachment.id,
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": len(attachment.content),
        "isInline": attachment.is_inline,
        "contentId": attachment.content_id or None,
    }


def _view(call: Call, draft: Draft) -> dict[str, Any]:
    """The message resource, cut to what `$select` asks for."""
    view = resource_of(call, draft)
    selected = call.request.query.get("$select")
    wanted = {"id", *(name.strip() for name in selected.split(","))} if selected else view.keys()
    return {"@odata.context": "$metadata#messages/$entity"} | {k: v for k, v in view.items() if k in wanted}


def resource_of(call: Call, draft: Draft) -> dict[str, Any]:
    """The message resource; the preference for immutable ids is honoured."""
    immutable = "immutableid" in call.request.headers.get("Prefer", "").lower()
    return {
        "id": draft.immutable_id if immutable else draft.id,
        "isDraft": draft.is_open,
        "parentFolderId": "drafts" if draft.is_open else "sentitems",
        "createdDateTime": iso(draft.created),
        "sentDateTime": iso(draft.visible_at or draft.created),
        "hasAttachments": bool(draft.attachments),
        **draft.resource,
    }
