"""Reading Sent Items and Inbox: how a gateway finds out whether an uncertain mail was sent."""

from __future__ import annotations

import re
from typing import Any

from mailrelay.sandbox.call import Answer, Call, Refusal, ok
from mailrelay.sandbox.submission import owner

FILTER = re.compile(r"internetMessageId eq '((?:[^']|'')*)'\Z", re.IGNORECASE)
PAGE = 10  # Graph's own default


async def list_folder(call: Call) -> Answer:
    """GET mailFolders/{sentitems|inbox}/messages with $filter on internetMessageId, $select and $top."""
    folder = call.params.get("folder", "sentitems").lower()
    if folder not in ("sentitems", "inbox"):
        raise Refusal(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")
    items = call.sandbox.store.find(folder, owner(call).id, _wanted(call))
    selected = call.request.query.get("$select")
    views = [_cut(item.resource(), selected) for item in items[: _top(call)]]
    return ok({"@odata.context": "$metadata#messages", "value": views})


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
