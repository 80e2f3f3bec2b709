"""Looking for a message by its Message-ID in a folder of its mailbox.

https://learn.microsoft.com/graph/api/mailfolder-list-messages. Needs Mail.ReadBasic at least. Whether
Exchange keeps the Message-ID of a MIME submission is written nowhere: what is not found may still be there.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mailrelay.graph.calls import Caller, Response

SENT_ITEMS = "sentitems"
DRAFTS = "drafts"


@dataclass(frozen=True, slots=True)
class Item:
    """A message that was found; `created_at` is None where Graph did not say it."""

    id: str
    created_at: datetime | None


def find(caller: Caller, folder: str, message_id: str) -> tuple[list[Item] | None, Response]:
    """The messages with that Message-ID (in angle brackets); None without an answer."""
    wanted = quote(f"internetMessageId eq '{message_id.replace(chr(39), chr(39) * 2)}'", safe="")
    response = caller.request(
        "GET",
        f"/mailFolders/{folder}/messages"
        f"?$filter={wanted}&$select=id,internetMessageId,createdDateTime&$top=10",
    )
    found = response.document.get("value")
    if response.status != 200 or not isinstance(found, list):
        return None, response
    items = (item for item in found if isinstance(item, dict) and item.get("id"))
    return [Item(str(item["id"]), moment(item.get("createdDateTime"))) for item in items], response


def moment(text: Any) -> datetime | None:
    """Read a DateTimeOffset, which Graph writes in UTC with as many digits as it likes."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
