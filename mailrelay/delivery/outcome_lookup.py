"""Asks Microsoft what became of mail whose request had no certain answer, before it is sent again.

The draft of the large route tells for certain, and sending the same draft again makes no second copy. For a
whole message there is Sent Items, where the application may read: what is found there (`traces`) was sent;
what is not may have got another Message-ID on its way. No answer to the question is neither: it is asked
again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar
from uuid import uuid4

from mailrelay.delivery import copy_matching, tokens
from mailrelay.delivery.answers import counted, judged
from mailrelay.graph import drafts
from mailrelay.graph.calls import Caller, Response
from mailrelay.graph.credentials import Credential
from mailrelay.graph.drafts import DraftState
from mailrelay.graph.http import Timeouts
from mailrelay.graph.verdict import Verdict
from mailrelay.models import Delivery, SendLog
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.db import clock
from mailrelay.outbox.result import Result
from mailrelay.outbox.settling import settle
from mailrelay.vocabulary import Blame, Outcome, Reason, Route

T = TypeVar("T")

#: How long a draft that is in no folder counts as on its way to Sent Items.
IN_FLIGHT = timedelta(hours=1)
#: How long Microsoft is asked again that gives no answer to the question.
PATIENCE = timedelta(hours=6)


class Finding(Enum):
    """What was found out."""

    CLEAR = auto()  # no attempt is uncertain
    SENT = auto()
    UNSENT = auto()  # the whole draft is there: sending it is all that is left
    ON_ITS_WAY = auto()  # the draft is in no folder
    UNANSWERED = auto()  # it could not be asked now
    LOST = auto()  # the draft is in no folder after an hour either
    OUT_OF_SIGHT = auto()  # the draft may not be read, or could not be for hours
    UNKNOWN = auto()


#: What is asked again later, and what is sent only if a person lets it.
WAITS = (Finding.ON_ITS_WAY, Finding.UNANSWERED)
SENTENCES = {
    Finding.SENT: "Graph did not say so, but the mail is in Sent Items: it was sent.",
    Finding.ON_ITS_WAY: "The draft has left for Sent Items and is not there yet; it is looked for again.",
    Finding.UNANSWERED: "Microsoft did not say what became of the mail; it is asked again.",
    Finding.LOST: "Graph has no trace of the mail: the draft is gone, and Sent Items does not show it.",
    Finding.OUT_OF_SIGHT: "The draft of this mail may lie in the mailbox unsent, and could not be asked for. "
    "Grant the application Mail.ReadWrite there and release the mail: then its draft is sent, once.",
    Finding.UNKNOWN: "Whether it was sent is not known: Sent Items may not be read, or shows nothing that is "
    "certain to be this mail.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, the attempt it is about, and that attempt's draft."""

    finding: Finding
    attempt: Attempt | None = None
    draft_id: str = ""

    @property
    def result(self) -> Result:
        """What the attempt came to, as far as it is known now."""
        text = SENTENCES[self.finding]
        if self.finding is Finding.SENT:
            return Result(Outcome.SENT, text)
        return Result(Outcome.UNCERTAIN, text, Blame.MESSAGE, Reason.UNCERTAIN)


def look(delivery: Delivery, credential: Credential) -> Found:
    """Find out about the last attempt at `delivery`, if its outcome is uncertain. Raises TokenUnavailable."""
    if delivery.claims <= 1:
        return Found(Finding.CLEAR)  # nothing was attempted before the first claim
    last = SendLog.objects.filter(delivery=delivery).order_by("-number").first()
    if last is None:
        return Found(Finding.CLEAR)
    attempt = leases.attempt_of(last, delivery)
    inquiry = Inquiry(delivery, credential, last)
    if last.outcome != Outcome.UNCERTAIN:
        return inquiry.by_copy_of_throttled(attempt)
    if last.draft_id:
        return Found(inquiry.by_draft(), attempt, last.draft_id)
    return Found(inquiry.by_copy() if delivery.mailbox.can_read else Finding.UNKNOWN, attempt)


class Inquiry:
    """The questions about one attempt. Each may raise TokenUnavailable."""

    def __init__(self, delivery: Delivery, credential: Credential, last: SendLog) -> None:
        self.delivery, self.credential, self.last = delivery, credential, last

    def by_draft(self) -> Finding:
        """Ask the draft of the attempt."""
        state, response = self._ask(lambda caller: drafts.state(caller, self.last.draft_id))
        if state is DraftState.SENT:
            return Finding.SENT
        if state is DraftState.OPEN:
            return Finding.UNSENT
        if state is None:
            return self._silence(response, Finding.OUT_OF_SIGHT)
        copy, response = self._ask(lambda caller: copy_matching.found(caller, self.delivery, self.last))
        if copy:
            return Finding.SENT
        if self._age() < IN_FLIGHT:
            return Finding.ON_ITS_WAY
        return self._silence(response, Finding.LOST) if copy is None else Finding.LOST

    def by_copy(self) -> Finding:
        """Look for a copy in Sent Items."""
        copy, response = self._ask(lambda caller: copy_matching.found(caller, self.delivery, self.last))
        if copy is None:
            return self._silence(response, Finding.UNKNOWN)
        return Finding.SENT if copy else Finding.UNKNOWN

    def by_copy_of_throttled(self, attempt: Attempt) -> Found:
        """Look for what was throttled, where that may be read: reports say that some was sent all the same.

        Nothing but a copy counts: what is throttled goes again, or a mailbox would never be done with it.
        """
        throttled = self.last.was_throttled and self.last.route == Route.MIME
        if throttled and self.delivery.mailbox.can_read and self.by_copy() is Finding.SENT:
            return Found(Finding.SENT, attempt)
        return Found(Finding.CLEAR)

    def _age(self) -> timedelta:
        return clock.now() - self.last.started_at

    def _silence(self, response: Response, in_the_end: Finding) -> Finding:
        """What no answer means: that it is asked again, unless it may not be asked or was for hours."""
        refused = response.status == 403 and response.answer.is_json_error
        return in_the_end if refused or self._age() >= PATIENCE else Finding.UNANSWERED

    def _ask(self, question: Callable[[Caller], tuple[T, Response]]) -> tuple[T, Response]:
        """Ask once, and once more with a fresh token where only that was refused."""
        caller = self._caller()
        found, response = question(caller)
        verdict = self._judged(response, fresh=False)
        if verdict is not None and verdict.retry_token:
            _, store = tokens.graph_clients()
            store.invalidate(self.credential, caller.token.value, claims=verdict.claims)
            found, response = question(self._caller())
            self._judged(response, fresh=True)
        return found, response

    def _judged(self, response: Response, *, fresh: bool) -> Verdict | None:
        """Count an answer; let the mailbox rest where it asks for that."""
        if response.status in (200, 404):
            counted(response.answer)
            return None
        verdict = judged(response.answer, token_is_fresh=fresh)
        if response.status == 429:
            settle.pause(self.delivery.mailbox_id, verdict.sentence, verdict.retry_after)
        return verdict

    def _caller(self) -> Caller:
        session, _ = tokens.graph_clients()
        token = tokens.token_for(self.credential)
        user = self.delivery.mailbox.graph_user
        return Caller(session, token, self.credential, user, str(uuid4()), Timeouts(total=60.0))
