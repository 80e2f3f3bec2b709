"""Reading Sent Items, Inbox and Drafts: how a gateway finds out what became of an uncertain mail."""

from __future__ import annotations

import re
from typing import Any

from mailrelay.sandbox import drafts
from mailrelay.sandbox.call import Answer, Call, Refusal, ok
from mailrelay.sandbox.submission import owner

FILTER = re.compile(r"internetMessageId eq '((?:[^']|'')*)'\Z", re.IGNORECASE)
PAGE = 10  # Graph's own default


async def list_folder(call: Call) -> Answer:
    """GET mailFolders/{sentitems|inbox|drafts}/messages: $filter on internetMessageId, $select and $top."""
    folder = call.params.get("folder", "sentitems").lower()
    if folder not in ("sentitems", "inbox", "drafts"):
        raise Refusal(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")
    selected = call.request.query.get("$select")
    views = [_cut(resource, selected) for resource in _resources(call, folder)[: _top(call)]]
    return ok({"@odata.context": "$metadata#messages", "value": views})


def _resources(call: Call, folder: str) -> list[dict[str, Any]]:
    wanted = _wanted(call)
    if folder == "drafts":
        found = call.sandbox.store.find_drafts(owner(call).id, wanted)
        return [drafts.resource_of(call, draft) for draft in found]
    return [item.resource() for item in call.sandbox.store.find(folder, owner(call).id, wanted)]


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
    wanted = {"id", *selected.replace(" ", "").split(",")} if selected else view.keys()
    return {name: value for name, value in view.items() if name in wanted}
