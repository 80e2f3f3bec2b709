"""Exchange after the 202: delays, daily limits and non-delivery reports to the sender's Inbox."""

from __future__ import annotations

import re
import time
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, localtime
from typing import TYPE_CHECKING

from sandbox.limits import SlidingWindow
from sandbox.store import Item

if TYPE_CHECKING:
    from sandbox.state import Sandbox
    from sandbox.world import Mailbox

DAY = 86_400.0
ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
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


@dataclass(frozen=True)
class Original:
    """The mail that a report is about."""

    subject: str
    message_id: str


def report(
    sandbox: Sandbox, mailbox: Mailbox, original: Original, recipients: list[str], reason: str
) -> None:
    """Put a non-delivery report (RFC 3464) into the sender's Inbox, the only place where failures show."""
    identifier = f"<{uuid.uuid4()}@sandbox.prod.outlook.test>"
    postmaster = f"postmaster@{mailbox.address.rpartition('@')[2]}"
    message = MIMEMultipart("report", report_type="delivery-status")
    message["From"] = f"Microsoft Outlook <{postmaster}>"
    message["To"] = mailbox.address
    message["Subject"] = Header(f"Undeliverable: {' '.join(original.subject.split())}", "utf-8").encode()
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = identifier
    message["Auto-Submitted"] = "auto-replied"
    failed = "\n".join(recipients)
    text = f"Delivery has failed to these recipients:\n\n{failed}\n\n{reason}\n"
    message.attach(MIMEText(text.encode("utf-8", "replace").decode(), "plain", "utf-8"))
    message.attach(_status(recipients, reason))
    returned = _part("text/rfc822-headers")
    returned.set_payload(f"Message-ID: {' '.join(original.message_id.split())}\n")
    message.attach(returned)
    item = Item(
        id=uuid.uuid4().hex,
        message_id=identifier,
        subject=f"Undeliverable: {' '.join(original.subject.split())}",
        sender=postmaster,
        recipients=[("to", mailbox.address)],
        visible_at=time.time() + sandbox.world.behaviour.report_delay,
        raw=message.as_bytes(),
        message_class="REPORT.IPM.Note.NDR",
    )
    sandbox.store.inbox[mailbox.id].append(item)


def _status(recipients: list[str], reason: str) -> Message:
    """Say of each recipient what a program can read (RFC 3464 section 2.3)."""
    part = _part("message/delivery-status")
    about = Message()
    about["Reporting-MTA"] = "dns; sandbox.prod.outlook.test"
    blocks: list[Message | str] = [about]
    found = ENHANCED.search(reason)
    for address in recipients:
        block = Message()
        block["Final-Recipient"] = f"rfc822; {address}"
        block["Action"] = "failed"
        block["Status"] = found[0] if found else "5.0.0"
        block["Diagnostic-Code"] = f"smtp; {reason}"
        blocks.append(block)
    part.set_payload(blocks)
    return part


def _part(kind: str) -> Message:
    part = Message()
    part["Content-Type"] = kind
    return part
