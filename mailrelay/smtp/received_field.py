"""The Received field that we add, and the count of those that others did (RFC 5321 sections 4.4 and 6.3)."""

import re
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from mailrelay.mime.headers import HeaderBlock
from mailrelay.smtp import replies
from mailrelay.smtp.replies import Reply

#: Hops after which a message goes in a circle (Postfix and chasquid: 50).
HOP_LIMIT = 50
#: Times that one message may come by here: an application that sends on what it got is no loop yet.
OWN_LIMIT = 3
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def received(
    *,
    client_name: str,
    client_address: str,
    hostname: str,
    protocol: str,
    queue_id: UUID,
    at: datetime,
    token: str = "",
) -> bytes:
    """Make our Received field; a client's name that is none stands as `unknown`. No recipient is named."""
    name = client_name if _NAME.fullmatch(client_name) else "unknown"
    own = f" (gateway {token})" if token else ""
    literal = f"[IPv6:{client_address}]" if ":" in client_address else f"[{client_address}]"
    return (
        f"Received: from {name} ({literal})\r\n"
        f"\tby {hostname}{own} with {protocol} id {queue_id.hex};\r\n"
        f"\t{format_datetime(at)}\r\n"
    ).encode("ascii", "replace")


def loops(headers: HeaderBlock, token: str = "") -> Reply | None:
    """Refuse a message that has passed as many hosts as no honest way has, or this gateway too often."""
    fields = headers.named("Received")
    if len(fields) >= HOP_LIMIT:
        return replies.LOOP
    if token and sum(f"(gateway {token})" in field.value for field in fields) >= OWN_LIMIT:
        return replies.LOOPED_HERE
    return None
