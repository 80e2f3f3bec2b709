"""What Exchange does after the 202: delays, daily limits and non-delivery reports to the sender's Inbox."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict, deque
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from typing import TYPE_CHECKING

from mailrelay.sandbox.limits import SlidingWindow
from mailrelay.sandbox.store import Item

if TYPE_CHECKING:
    from mailrelay.sandbox.state import Sandbox
    from mailrelay.sandbox.world import Mailbox

DAY = 86_400.0
# Enhanced codes and texts as the reports of the service give them.
TOO_MANY = "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients"
DAILY = "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients"
TENANT = (
    "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email"
)
MOERA = "550 5.7.236 Message rejected: the onmicrosoft.com domain exceeded its limit of external recipients"
UNKNOWN = "550 5.1.1 The recipient's mailbox does not exist"


class SendingLimits:
    """Counters of a mailbox (deliveries a minute, recipients a day) and of a tenant (external recipients)."""

    def __init__(self) -> None:
        self._deliveries: dict[str, deque[float]] = {}
        self._daily: dict[str, SlidingWindow] = defaultdict(lambda: SlidingWindow(DAY))

    def deliver_at(self, mailbox: str, now: float, per_minute: int) -> float:
        """When the next mail of `mailbox` leaves: what exceeds the rate is carried over, not refused."""
        if not per_minute:
            return now
        times = self._deliveries.get(mailbox)
        if times is None or times.maxlen != per_minute:
            times = self._deliveries[mailbox] = deque(times or (), maxlen=per_minute)
        at = max(now, times[0] + 60) if len(times) == per_minute else now
        times.append(at)
        return at

    def admits(self, key: str, amount: int, most: int) -> bool:
        """Count `amount` towards the day of `key`, unless that would exceed `most`."""
        now = time.monotonic()
        window = self._daily[key]
        if most and window.total(now) + amount > most:
            return False
        window.add(now, amount)
        return True


def rejection(sandbox: Sandbox, mailbox: Mailbox, sender: str, recipients: set[str]) -> str | None:
    """Why nobody gets this mail, or None: the limits that the service applies after its 202."""
    limits, world, sending = sandbox.world.limits, sandbox.world, sandbox.sending
    if limits.recipients_per_message and len(recipients) > limits.recipients_per_message:
        return TOO_MANY
    if not sending.admits(mailbox.id, len(recipients), limits.recipients_per_day):
        return DAILY
    external = sum(not world.is_internal(mailbox.tenant, address) for address in recipients)
    if sender.endswith(".onmicrosoft.com") and not sending.admits(
        f"moera {mailbox.tenant}", external, limits.moera_recipients_per_day
    ):
        return MOERA
    if not sending.admits(f"external {mailbox.tenant}", external, limits.external_recipients_per_day):
        return TENANT
    return None


def unknown_recipients(sandbox: Sandbox, recipients: set[str]) -> list[str]:
    domains = sandbox.world.behaviour.undeliverable_domains
    return sorted(address for address in recipients if address.rpartition("@")[2] in domains)


def report(sandbox: Sandbox, mailbox: Mailbox, subject: str, recipients: list[str], reason: str) -> None:
    """Put a non-delivery report (RFC 3464) into the sender's Inbox, the only place where failures show."""
    identifier = f"<{uuid.uuid4()}@sandbox.prod.outlook.test>"
    message = EmailMessage()
    message["From"] = f"Microsoft Outlook <postmaster@{mailbox.address.rpartition('@')[2]}>"
    message["To"] = mailbox.address
    message["Subject"] = f"Undeliverable: {' '.join(subject.split())}"
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = identifier
    message["Auto-Submitted"] = "auto-replied"
    failed = "\r\n".join(recipients).encode("utf-8", "replace").decode()
    message.set_content(f"Delivery has failed to these recipients:\r\n\r\n{failed}\r\n\r\n{reason}\r\n")
    item = Item(
        id=uuid.uuid4().hex,
        message_id=identifier,
        subject=str(message["Subject"]),
        sender=f"postmaster@{mailbox.address.rpartition('@')[2]}",
        recipients=[mailbox.address],
        visible_at=time.time(),
        raw=message.as_bytes(),
    )
    sandbox.store.inbox[mailbox.id].append(item)
