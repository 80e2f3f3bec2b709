"""What became of mail whose sending had no answer: asked of Microsoft before it is sent again.

The draft of the large route tells for certain, and sending the same draft again makes no second copy. For a
whole message there is Sent Items, where the application may read: what is found there was sent; what is not
may have got another Message-ID on its way.
"""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import uuid4

from mailrelay.delivery import tokens
from mailrelay.delivery.answers import counted
from mailrelay.graph import drafts, folders
from mailrelay.graph.calls import Caller
from mailrelay.graph.credentials import Credential
from mailrelay.graph.drafts import DraftState
from mailrelay.graph.http import Timeouts
from mailrelay.models import Delivery, SendLog
from mailrelay.outbox import clock, leases
from mailrelay.outbox.leases import Attempt
from mailrelay.outbox.settle import Result
from mailrelay.vocabulary import Blame, Outcome, Reason

#: Seconds for which a draft that is in no folder counts as on its way to Sent Items.
IN_FLIGHT = 3600.0


class Finding(Enum):
    """What was found out."""

    CLEAR = auto()  # no attempt is uncertain
    SENT = auto()
    UNSENT = auto()  # the whole draft is there: sending it is all that is left
    ON_ITS_WAY = auto()  # the draft is in no folder
    LOST = auto()  # nor is it after an hour
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, the attempt it is about, and that attempt's draft."""

    finding: Finding
    attempt: Attempt | None = None
    draft_id: str = ""

    @property
    def result(self) -> Result:
        """What the attempt came to, now that it is known."""
        if self.finding is Finding.SENT:
            return Result(Outcome.SENT, "Graph gave no answer, but the mail is in Sent Items: it was sent.")
        text = "Graph has no trace of the mail: the draft is gone, and Sent Items does not show it."
        if self.finding is Finding.ON_ITS_WAY:
            text = "The draft has left for Sent Items and not arrived there yet; it is looked for again."
        return Result(Outcome.UNCERTAIN, text, Blame.MESSAGE, Reason.UNCERTAIN)


def look(delivery: Delivery, credential: Credential) -> Found:
    """Find out about the last attempt at `delivery`, if its outcome is uncertain. Raises TokenUnavailable."""
    if delivery.claims <= 1:
        return Found(Finding.CLEAR)  # nothing was attempted before the first claim
    last = SendLog.objects.filter(delivery=delivery).order_by("-number").first()
    if last is None or last.outcome != Outcome.UNCERTAIN:
        return Found(Finding.CLEAR)
    attempt = leases.attempt_of(last, delivery)
    if not (last.draft_id or delivery.mailbox.can_read):
        return Found(Finding.UNKNOWN, attempt)
    caller = _caller(delivery, credential)
    if last.draft_id:
        finding = _by_draft(caller, delivery, last)
        return Found(finding, attempt, last.draft_id)
    found = _in_sent_items(caller, delivery)
    return Found(Finding.SENT if found else Finding.UNKNOWN, attempt)


def _by_draft(caller: Caller, delivery: Delivery, last: SendLog) -> Finding:
    state, response = drafts.state(caller, last.draft_id)
    counted(response.answer)
    if state is DraftState.SENT:
        return Finding.SENT
    if state is DraftState.OPEN:
        return Finding.UNSENT
    if state is None:
        return Finding.ON_ITS_WAY  # no answer to the question either: asked again later
    if _in_sent_items(caller, delivery):
        return Finding.SENT
    age = (clock.now() - last.started_at).total_seconds()
    return Finding.ON_ITS_WAY if age < IN_FLIGHT else Finding.LOST


def _in_sent_items(caller: Caller, delivery: Delivery) -> bool:
    found, response = folders.find(caller, folders.SENT_ITEMS, f"<{delivery.message.message_id}>")
    counted(response.answer)
    return bool(found)


def _caller(delivery: Delivery, credential: Credential) -> Caller:
    session, _ = tokens.edge()
    token = tokens.token_for(credential)
    return Caller(session, token, credential, delivery.mailbox.graph_user, str(uuid4()), Timeouts(total=60.0))
