"""Tells how to find out whether a sent mail arrived: by Exchange's message trace.

Graph's 202 says that the mail was taken (https://learn.microsoft.com/graph/api/user-sendmail, "Response").
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrelay.models import Message
from mailrelay.vocabulary import Outcome

#: The trace is asked around the sending: clocks differ, and Exchange takes its time.
AROUND = timedelta(hours=1), timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Trace:
    internet_message_id: str
    request_id: str
    query: str


def of(message: Message) -> Trace | None:
    """Return what finds `message` in Exchange, or None where nothing of it was sent."""
    sent = message.attempts.filter(outcome=Outcome.SENT).order_by("-started_at")
    attempt = sent.values_list("request_id", "started_at").first()
    if attempt is None:
        return None
    name = f"<{message.message_id}>"
    return Trace(name, attempt[0], _query(name, attempt[1]))


def _query(name: str, at: datetime) -> str:
    """Write the command of Exchange Online PowerShell; its single quotes are doubled, nothing else counts."""
    before, after = AROUND
    quoted = name.replace("'", "''").replace("\u2018", "").replace("\u2019", "")
    return (
        f"Get-MessageTraceV2 -MessageId '{quoted}' "
        f"-StartDate '{at - before:%Y-%m-%dT%H:%MZ}' -EndDate '{at + after:%Y-%m-%dT%H:%MZ}'"
    )
