"""Reading Sent Items, Inbox and Drafts: how a gateway finds out what became of an uncertain mail."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox import drafts
from sandbox.call import Answer, Call, Refusal, ok
from sandbox.submission import owner

if TYPE_CHECKING:
    from sandbox.store import Item

RECEIVED = re.compile(r"receivedDateTime (gt|ge) (\S+)\Z", re.IGNORECASE)
CLASS = "String 0x1a"
FILTER = re.compile(r"internetMessageId eq '((?:[^']|'')*)'\Z", re.IGNORECASE)
PAGE = 10  # Graph's own default


async def list_folder(call: Call) -> Answer:
    """GET mailFolders/{sentitems|inbox|drafts}/messages.

    $filter on internetMessageId, or on receivedDateTime with $orderby; $select, $top, and $expand of the
    message class.
    """
    folder = call.params.get("folder", "sentitems").lower()
    if folder not in ("sentitems", "inbox", "drafts"):
        raise Refusal(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")
    selected = call.request.query.get("$select")
    views = [_cut(resource, selected) for resource in _resources(call, folder)[: _top(call)]]
    return ok({"@odata.context": "$metadata#messages", "value": views})


def _resources(call: Call, folder: str) -> list[dict[str, Any]]:
    since = RECEIVED.match(call.request.query.get("$filter", "").strip())
    if since and folder != "drafts":
        return _received(call, folder, since[1].lower(), since[2])
    wanted = _wanted(call)
    if folder == "drafts":
        found = call.sandbox.store.find_drafts(owner(call).id, wanted)
        return [drafts.resource_of(call, draft) for draft in found]
    return [_expanded(call, item) for item in call.sandbox.store.find(folder, owner(call).id, wanted)]


def _received(call: Call, folder: str, comparison: str, moment: str) -> list[dict[str, Any]]:
    """Items received since `moment`, the oldest first where that is asked for."""
    try:
        since = datetime.fromisoformat(moment).timestamp()
    except ValueError:
        raise Refusal(400, "ErrorInvalidUrlQueryFilter", "Invalid filter clause.") from None
    found = [
        item
        for item in call.sandbox.store.find(folder, owner(call).id)
        if item.visible_at > since or (comparison == "ge" and item.visible_at == since)
    ]
    if call.request.query.get("$orderby", "").lower().startswith("receiveddatetime asc"):
        found.sort(key=lambda item: item.visible_at)
    return [_expanded(call, item) for item in found]


def _expanded(call: Call, item: Item) -> dict[str, Any]:
    view = item.resource()
    if "0x001a" in call.request.query.get("$expand", "").lower():
        view["singleValueExtendedProperties"] = [{"id": CLASS, "value": item.message_class}]
    return view


async def source(call: Call) -> Answer:
    """GET messages/{id}/$value of what lies in the Inbox: its MIME source."""
    for item in call.sandbox.store.find("inbox", owner(call).id):
        if item.id == call.params["message"]:
            return Answer(200, "read", item.raw, "text/plain")
    raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def _wanted(call: Call) -> str | None:
    text = call.request.query.get("$filter")
    if text is None:
        return None
    found = FILTER.match(text.strip())
    if found is None:
        raise Refusal(
            400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes."
        )
    return found[1].replace("''", "'")


def _top(call: Call) -> int:
    text = call.request.query.get("$top", str(PAGE))
    if not text.isdecimal():
        raise Refusal(400, "BadRequest", "Invalid value for the query option $top.")
    return int(text)


def _cut(view: dict[str, Any], selected: str | None) -> dict[str, Any]:
    wanted = (
        {"id", "singleValueExtendedProperties", *selected.replace(" ", "").split(",")}
        if selected
        else view.keys()
    )
    return {name: value for name, value in view.items() if name in wanted}
