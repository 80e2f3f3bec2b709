"""Looking for a message by its Message-ID in a folder of its mailbox.

https://learn.microsoft.com/graph/api/mailfolder-list-messages. Needs Mail.ReadBasic at least. Whether
Exchange keeps the Message-ID of a MIME submission is written nowhere: what is not found may still be there.
"""

from urllib.parse import quote

from mailrelay.graph.calls import Caller, Response

SENT_ITEMS = "sentitems"
DRAFTS = "drafts"


def find(caller: Caller, folder: str, message_id: str) -> tuple[list[str] | None, Response]:
    """The ids of the messages with that Message-ID (in angle brackets); None without an answer."""
    wanted = quote(f"internetMessageId eq '{message_id.replace(chr(39), chr(39) * 2)}'", safe="")
    response = caller.request(
        "GET", f"/mailFolders/{folder}/messages?$filter={wanted}&$select=id,internetMessageId&$top=10"
    )
    found = response.document.get("value")
    if response.status != 200 or not isinstance(found, list):
        return None, response
    return [str(item["id"]) for item in found if isinstance(item, dict) and item.get("id")], response
