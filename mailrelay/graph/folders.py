"""Looking for a message by its Message-ID in a folder of its mailbox.

https://learn.microsoft.com/graph/api/mailfolder-list-messages. Needs Mail.ReadBasic at least. Whether
Exchange keeps the Message-ID of a MIME submission is written nowhere: what is not found may still be there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mailrelay.graph.calls import Caller, Response

SENT_ITEMS = "sentitems"
DRAFTS = "drafts"
#: Properties that say what was found, and those that say to whom it goes.
ABOUT = "id,internetMessageId,createdDateTime"
ADDRESSED = ("toRecipients", "ccRecipients", "bccRecipients")
#: Bytes of a reply that names recipients: ten messages with a thousand each.
ADDRESSED_LIMIT = 2_097_152


@dataclass(frozen=True, slots=True)
class Item:
    """A message that was found; `created_at` is None where Graph did not say it.

    `recipients` are the addresses of To, Cc and Bcc, where they were asked for.
    """

    id: str
    created_at: datetime | None
    recipients: tuple[str, ...] = ()


def find(
    caller: Caller, folder: str, message_id: str, *, addressed: bool = False
) -> tuple[list[Item] | None, Response]:
    """The messages with that Message-ID (in angle brackets), ten at most; None without an answer.

    `addressed` asks for their recipients too.
    """
    wanted = quote(f"internetMessageId eq '{message_id.replace(chr(39), chr(39) * 2)}'", safe="")
    selected = ",".join([ABOUT, *ADDRESSED]) if addressed else ABOUT
    response = caller.request(
        "GET",
        f"/mailFolders/{folder}/messages?$filter={wanted}&$select={selected}&$top=10",
        reply_limit=ADDRESSED_LIMIT if addressed else None,
    )
    found = response.document.get("value")
    if response.status != 200 or not isinstance(found, list):
        return None, response
    items = (item for item in found if isinstance(item, dict) and item.get("id"))
    return [_item(item) for item in items], response


def _item(item: dict[str, Any]) -> Item:
    return Item(str(item["id"]), moment(item.get("createdDateTime")), tuple(_addresses(item)))


def _addresses(item: dict[str, Any]) -> Iterator[str]:
    """Give the addresses of an item; an entry without one is given as none, so that it still counts."""
    for name in ADDRESSED:
        for recipient in item.get(name) or ():
            named = recipient.get("emailAddress") if isinstance(recipient, dict) else None
            yield str((named or {}).get("address") or "")


def moment(text: Any) -> datetime | None:
    """Read a DateTimeOffset, which Graph writes in UTC with as many digits as it likes."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
