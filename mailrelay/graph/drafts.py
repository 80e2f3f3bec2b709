"""Drafts: made from MIME or JSON, given attachments, sent, asked for, deleted.

https://learn.microsoft.com/graph/api/user-post-messages, message-post-attachments, message-send. They need
Mail.ReadWrite, sending one Mail.Send as well.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from mailrelay.graph.bodies import Chain
from mailrelay.graph.calls import Caller, Response
from mailrelay.graph.http import Body

#: Bytes below which a file goes in one request and may not have an upload session
#: (https://learn.microsoft.com/graph/outlook-large-attachments).
SESSION_MINIMUM: Final = 3 * 1024 * 1024
#: Bytes that a request may have, and room for what stands around a file in it.
REQUEST_LIMIT: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as Graph knows it; `size` in bytes."""

    name: str
    content_type: str
    size: int
    content_id: str = ""
    inline: bool = False

    def properties(self) -> dict[str, Any]:
        """What a file attachment and an upload session's item have in common."""
        known: dict[str, Any] = {"name": self.name, "contentType": self.content_type}
        if self.content_id:
            known["contentId"] = self.content_id
        return known | ({"isInline": True} if self.inline else {})


class DraftState(StrEnum):
    """What became of a draft."""

    OPEN = "open"  # not sent; sending it is safe
    SENT = "sent"
    ABSENT = "absent"  # on its way, or deleted


def create_from_mime(caller: Caller, body: Body) -> Response:
    """Make a draft of a whole message; `body` is its base64. 201 with the id is the only success."""
    return caller.request("POST", "/messages", body, content_type="text/plain")


def create_from_json(caller: Caller, message: dict[str, Any]) -> Response:
    """Make a draft of Graph's own message resource."""
    return caller.request("POST", "/messages", json.dumps(message).encode())


def attach(caller: Caller, draft_id: str, file: File, content: Body) -> Response:
    """Attach a file in one request; `content` is its base64."""
    return caller.request("POST", f"{_path(draft_id)}/attachments", attachment_body(file, content))


def attachment_body(file: File, content: Body) -> Chain:
    """The request body of a file attachment, with its content streamed into the JSON."""
    kind = {"@odata.type": "#microsoft.graph.fileAttachment"}
    head = json.dumps(kind | file.properties())[:-1] + ', "contentBytes": "'
    return Chain([head.encode(), content, b'"}'])


def fits_one_request(file: File) -> bool:
    """Whether a file can be attached without an upload session."""
    around = len(json.dumps(file.properties())) + 128
    return file.size < SESSION_MINIMUM and (file.size + 2) // 3 * 4 + around <= REQUEST_LIMIT


def send(caller: Caller, draft_id: str) -> Response:
    """Send a draft: 202 without a body. Repeating it for the same draft cannot make a second copy."""
    return caller.request("POST", f"{_path(draft_id)}/send")


def state(caller: Caller, draft_id: str) -> tuple[DraftState | None, Response]:
    """Ask what became of a draft; None when there was no such answer."""
    response = caller.request("GET", f"{_path(draft_id)}?$select=isDraft")
    if response.status == 200 and isinstance(response.document.get("isDraft"), bool):
        return DraftState.OPEN if response.document["isDraft"] else DraftState.SENT, response
    absent = response.status == 404 and "ErrorItemNotFound" in response.answer.codes
    return DraftState.ABSENT if absent else None, response


def delete(caller: Caller, draft_id: str) -> Response:
    """Delete a draft: 204, or 404 when there is none."""
    return caller.request("DELETE", _path(draft_id))


def _path(draft_id: str) -> str:
    return f"/messages/{quote(draft_id, safe='')}"
