"""The Received field that we add, and the count of those that others did (RFC 5321 sections 4.4 and 6.3)."""

import re
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from mailrelay.mime.headers import HeaderBlock

#: Hops after which a message goes in a circle (Postfix and chasquid: 50).
HOP_LIMIT = 50
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def received(
    *, client_name: str, client_address: str, hostname: str, protocol: str, queue_id: UUID, at: datetime
) -> bytes:
    """Make our Received field; a client's name that is none stands as `unknown`. No recipient is named."""
    name = client_name if _NAME.fullmatch(client_name) else "unknown"
    literal = f"[IPv6:{client_address}]" if ":" in client_address else f"[{client_address}]"
    return (
        f"Received: from {name} ({literal})\r\n"
        f"\tby {hostname} with {protocol} id {queue_id.hex};\r\n"
        f"\t{format_datetime(at)}\r\n"
    ).encode("ascii", "replace")


def loops(headers: HeaderBlock) -> bool:
    """Whether the message has passed as many hosts as no honest way has."""
    return len(headers.named("Received")) >= HOP_LIMIT
