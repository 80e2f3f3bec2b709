"""Judges the refusal of a step on the large route: before the sending, nothing is uncertain."""

from dataclasses import replace

from mailrelay.delivery.answers import judged
from mailrelay.delivery.results import result_of, with_facts
from mailrelay.graph.answer import Answer
from mailrelay.graph.error_table import CODES
from mailrelay.graph.verdict import Verdict
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Blame, Outcome, Reason

#: What Graph says of a file that is too small for a session, though too large for one request.
TOO_SMALL = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
#: What Graph calls a request of a kind that it does not take.
FORM_CODES = frozenset(
    {
        *("errorinvalidrequest", "errorinvalidoperation", "requestbodyread", "unabletodeserializepostbody"),
        *("errormimecontentinvalid", "notsupported", "errornotsupported"),
    }
)


def is_about_form(answer: Answer) -> bool:
    """Whether Graph refused the kind of request, not this message in it."""
    if answer.status in (405, 415, 501):
        return True
    return answer.status == 400 and bool(FORM_CODES.intersection(code.lower() for code in answer.codes))


def refused(answer: Answer, what: str, *, fresh: bool = False) -> Result:
    """What a refusal of a step means: the mail was not sent, in no case."""
    verdict = judged(answer, token_is_fresh=fresh, about_draft=True)
    result = result_of(verdict, answer)
    if TOO_SMALL in answer.codes:
        return replace(
            result,
            outcome=Outcome.PERMANENT,
            blame=Blame.MESSAGE,
            reason=Reason.TOO_LARGE,
            sentence="An attachment is a few bytes too large for one request and too small for an upload.",
            advice="Send it compressed or in another form.",
            enhanced_status="5.3.4",
        )
    if answer.status == 403:
        # Not the mailbox's fault: whole messages still go through it.
        return replace(
            result,
            outcome=Outcome.TRANSIENT,
            blame=Blame.MESSAGE,
            reason=Reason.CONSENT_MISSING,
            sentence=f"The app registration may not {what} in the mailbox {answer.mailbox}.",
            advice="Grant it Mail.ReadWrite there (a change takes up to two hours), or switch large mail off "
            "for this sender.",
        )
    gone = answer.status in (404, 410) and not any(code in CODES for code in answer.codes)
    if verdict.outcome is Outcome.UNCERTAIN or gone:  # the latter: of a session, not of a mailbox
        return again(answer, f"Graph gave no answer that could be used when asked to {what}.", verdict)
    return result


def again(answer: Answer | None, sentence: str, verdict: Verdict | None = None) -> Result:
    """A passing fault before the sending: all begins again."""
    blame = verdict.blame if verdict and verdict.blame is not Blame.NOBODY else Blame.MESSAGE
    result = Result(
        Outcome.TRANSIENT,
        f"{sentence} Nothing was sent.",
        blame,
        Reason.UNREACHABLE if blame is Blame.ENDPOINT else Reason.SERVER_ERROR,
    )
    if answer is None:
        return result
    return replace(with_facts(result, answer), retry_after=answer.retry_after)
