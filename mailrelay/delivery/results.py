"""From what Microsoft answered to what the queue records."""

from dataclasses import replace

from mailrelay.graph.answer import Answer
from mailrelay.graph.verdict import Verdict
from mailrelay.outbox.errors import ContentNotWholeError, ContentRemovedError
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Blame, Outcome, Reason


def result_of(verdict: Verdict, answer: Answer | None = None) -> Result:
    """Join the meaning of an answer with its facts; without an answer there was no request."""
    result = Result(
        outcome=verdict.outcome,
        blame=verdict.blame,
        reason=verdict.reason,
        graph_code=verdict.code,
        enhanced_status=verdict.enhanced_status,
        sentence=verdict.sentence,
        advice=verdict.advice,
        retry_after=verdict.retry_after,
        permanent_after=verdict.permanent_after,
        duplicate=verdict.duplicate,
        about_recipient=verdict.about_recipient,
        refused=verdict.recipients,
    )
    return result if answer is None else with_facts(result, answer)


def with_facts(result: Result, answer: Answer) -> Result:
    """Put the facts of an answer beside what it means."""
    return replace(
        result,
        http_status=answer.status,
        request_id=answer.request_id,
        duration=answer.duration,
        reply=answer.raw,
    )


def of_whole_mail(verdict: Verdict, answer: Answer) -> Result:
    """Join them for a mail that was handed over whole: then a failing service may have sent it all the same.

    The draft of the large route tells; here Sent Items may, and else the sender's policy decides.
    """
    result = result_of(verdict, answer)
    if not verdict.doubtful:
        return result
    return replace(
        result,
        outcome=Outcome.UNCERTAIN,
        blame=Blame.MAILBOX,
        reason=Reason.UNCERTAIN,
        sentence=f"{result.sentence} The mail may have been sent all the same.",
        advice=f"Look into the Sent Items of the mailbox {answer.mailbox} before it is sent again by hand.",
        enhanced_status="4.4.2",
        coded=True,
    )


def circling() -> Result:
    """Say that the mail goes in circles: a person has to find out between whom."""
    return Result(
        Outcome.CONFIGURATION,
        "This mail came back to the gateway three times within an hour: it seems to go in circles.",
        Blame.MESSAGE,
        Reason.LOOP,
        "Look for a forwarding rule or a connector that sends the recipient's mail here; then release or "
        "cancel it.",
        enhanced_status="5.4.6",
    )


def removed(error: ContentRemovedError) -> Result:
    """The content is gone: nothing can be sent any more. Where a part is missing, somebody has to look."""
    if isinstance(error, ContentNotWholeError):
        return Result(
            Outcome.CONFIGURATION,
            str(error),
            Blame.MESSAGE,
            Reason.CONTENT_LOST,
            "Ask the sender to resend it, then cancel it; release it only after the database was restored.",
        )
    return Result(
        Outcome.PERMANENT,
        "The content of this message was removed by retention before it could be sent.",
        Blame.MESSAGE,
        Reason.TOO_OLD,
        "Ask the sender to send it again.",
    )


def inseparable(error: Exception) -> Result:
    """Say that neither route carries the mail, whatever is configured; `error` has the reason."""
    return Result(
        Outcome.PERMANENT,
        f"The message is too large for one request to Microsoft, and cannot go in parts: {error}.",
        Blame.MESSAGE,
        Reason.TOO_LARGE,
        "Send it with smaller attachments, or unsigned.",
        enhanced_status="5.3.4",
    )


def uninvited(error: Exception) -> Result:
    """Say that an invitation would reach others than its recipients and cannot be changed."""
    return Result(
        Outcome.PERMANENT,
        f"The message was not sent: {error}.",
        Blame.MESSAGE,
        Reason.REJECTED,
        "Send the invitation unsigned, to exactly the people whom it names, or as a file.",
        enhanced_status="5.6.2",
    )


def unreadable(sender: str, error: Exception) -> Result:
    """Say that the row of `sender` has a value of another version: the mail waits until that is put right."""
    return Result(
        Outcome.TRANSIENT,
        f"The row of sender {sender} cannot be read: {error}.",
        Blame.MESSAGE,
        Reason.SERVER_ERROR,
        "Finish the update of all processes, or save the sender again in the admin.",
        enhanced_status="4.3.5",
    )


def without_route(error: Exception) -> Result:
    """Say that no route is open to the mail as things are; what would open one may still come."""
    return Result(
        Outcome.TRANSIENT,
        str(error),
        Blame.MESSAGE,
        Reason.CONSENT_MISSING,
        enhanced_status="4.7.0",
    )
