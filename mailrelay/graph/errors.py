"""Judges Graph's answers: the rules that lead to a row of the error table, in their order."""

import re
from dataclasses import replace

from mailrelay.graph.answer import Answer
from mailrelay.graph.error_table import (
    BEGINNINGS,
    BUSY,
    BY_LOWER,
    CEILING,
    CODES,
    DENIED,
    DUPLICATE,
    FAULT,
    GONE_DRAFT,
    NO_RECIPIENTS,
    NOT_FOUND,
    POLICY,
    PROXY,
    RECIPIENTS,
    STATUSES,
    TOKEN,
    TOKEN_TWICE,
    TOO_BIG,
    UNKNOWN_CODE,
    Row,
)
from mailrelay.graph.token_errors import verdict_of_token_error
from mailrelay.graph.unresolved import named_in
from mailrelay.graph.verdict import Verdict
from mailrelay.vocabulary import Blame, Outcome, Reason

#: Bytes of MIME above which a 200 with nothing sent was seen instead of a refusal (docs issue 13979).
SILENT_CEILING = 2_200_000

_SIZE_WORDS = re.compile(
    r"maximum request length|request length exceeded|request entity too large", re.IGNORECASE
)
#: Exchange's own exception for a message over the mailbox's limit, whatever code stands outside.
_OVER_THE_LIMIT = "MapiExceptionMaxSubmissionExceeded"
#: Likewise for a second submission of one Message-ID; the code around it is written nowhere.
_SUBMITTED_BEFORE = re.compile(r"DuplicateDelivery", re.IGNORECASE)
#: A token of the right kind that a policy refuses at this place, even when it is fresh.
_BY_POLICY = re.compile(r"continuous access evaluation|LocationCondition", re.IGNORECASE)
_EMPTY = re.compile(r"contains no recipients", re.IGNORECASE)


def verdict_of(answer: Answer, *, token_is_fresh: bool = False, about_draft: bool = False) -> Verdict:
    """Give the meaning of one answer to a send.

    `token_is_fresh`: the token was fetched for this very attempt, so a second refusal of it is a matter of
    configuration instead of one of time. `about_draft`: the request named a draft, which may be what is gone.
    """
    verdict = _meaning(answer, token_is_fresh=token_is_fresh, about_draft=about_draft)
    return replace(verdict, sentence=f"{verdict.sentence} {answer.cut}") if answer.cut else verdict


def _meaning(answer: Answer, *, token_is_fresh: bool, about_draft: bool) -> Verdict:
    if answer.status is None:
        return _without_answer(answer)
    # Without Graph's request-id too, unless it is a page: middleboxes take headers out, but none says 202.
    if answer.status == 202 and not answer.is_proxy:
        return _accepted(answer)
    if answer.status < 400:
        return _neither_yes_nor_no(answer)
    return _refused(answer, token_is_fresh=token_is_fresh, about_draft=about_draft)


def _accepted(answer: Answer) -> Verdict:
    return Verdict(
        Outcome.SENT,
        sentence=f"Graph accepted the message for the mailbox {answer.mailbox}.",
        retry_after=answer.retry_after,
        enhanced_status="2.0.0",
    )


def _without_answer(answer: Answer) -> Verdict:
    what = answer.failure.text if answer.failure else "there was no answer"
    fault = answer.failure.fault.value if answer.failure else ""
    if answer.body_sent:
        return _uncertain(answer, Blame.ENDPOINT, fault, f"Graph got the whole message, but {what}.")
    return Verdict(
        Outcome.TRANSIENT,
        Blame.ENDPOINT,
        Reason.UNREACHABLE,
        fault,
        f"Graph did not get the message for the mailbox {answer.mailbox}: {what}.",
        "Check the network, HTTPS_PROXY, REQUESTS_CA_BUNDLE and GRAPH_ENDPOINT if it lasts.",
        enhanced_status="4.4.1",
    )


def _uncertain(answer: Answer, blame: Blame, code: str, sentence: str) -> Verdict:
    return Verdict(
        Outcome.UNCERTAIN,
        blame,
        Reason.UNCERTAIN,
        code,
        f"{sentence} It may have been sent.",
        f"Look into the Sent Items of the mailbox {answer.mailbox} before it is sent again by hand.",
        answer.retry_after,
        enhanced_status="4.4.2",
    )


def _neither_yes_nor_no(answer: Answer) -> Verdict:
    """No 202 from Graph: a proxy's page, a redirect, or the silent 200 of docs issue 13979."""
    if not answer.is_graph:
        return _by_row(answer, PROXY, f"HTTP {answer.status}")
    if answer.status in (200, 204) and answer.body_size > SILENT_CEILING:
        return _by_row(answer, CEILING, f"HTTP {answer.status}")
    if answer.body_sent:
        return _uncertain(
            answer, Blame.MESSAGE, f"HTTP {answer.status}", f"Graph answered {answer.status}, not 202."
        )
    return _by_row(answer, UNKNOWN_CODE, f"HTTP {answer.status}")


def _refused(answer: Answer, *, token_is_fresh: bool, about_draft: bool) -> Verdict:
    if answer.status == 504 and answer.body_sent:
        # Even with Graph's error object: it says that the edge gave up, not that Exchange did.
        return _uncertain(answer, Blame.MAILBOX, answer.code or "HTTP 504", "Graph's edge gave up waiting.")
    if _is_edge_fault(answer) and answer.body_sent:
        return _uncertain(
            answer,
            Blame.MAILBOX,
            f"HTTP {answer.status}",
            f"Graph's edge answered {answer.status} and nothing else.",
        )
    code, row = _row(answer)
    if row.retry_token and token_is_fresh:
        row = POLICY if _BY_POLICY.search(answer.message) else TOKEN_TWICE
    if row is NOT_FOUND and about_draft:
        row = GONE_DRAFT
    if row is NOT_FOUND and (answer.status or 0) >= 500:
        row = FAULT  # the service failed, whatever it calls that
    if row is RECIPIENTS and _EMPTY.search(answer.message):
        row = NO_RECIPIENTS
    if row.outcome is Outcome.UNCERTAIN and not answer.body_sent:
        row = BUSY
    return _by_row(answer, row, code)


def _is_edge_fault(answer: Answer) -> bool:
    status = answer.status or 0
    return not answer.is_json_error and (status >= 500 or status == 408)


def _row(answer: Answer) -> tuple[str, Row]:
    """Choose the row: size and token by their words, known codes from the inside out, else by the status."""
    status = answer.status or 0
    named = answer.code or f"HTTP {status}"
    if status == 413 or (status == 400 and _SIZE_WORDS.search(answer.message)):
        return named, CEILING
    if _OVER_THE_LIMIT in answer.message:
        return named, TOO_BIG
    if _SUBMITTED_BEFORE.search(" ".join((*answer.codes, answer.message))):
        return named, DUPLICATE
    if "S2S auth token" in answer.message:
        return named, TOKEN  # seen for ageing tokens with 403 and changing codes
    for code in answer.codes:
        if known := _by_code(code.lower()):
            return code, known
    if status == 407 or (answer.is_proxy and status < 500):
        return named, PROXY
    if _is_edge_fault(answer):
        return named, BUSY
    if status == 403 and not answer.code:
        return named, DENIED
    return named, STATUSES.get(status, UNKNOWN_CODE)


def _by_code(code: str) -> Row | None:
    """Find the row of a code in lower case."""
    if code in BY_LOWER:
        return BY_LOWER[code]
    return next((row for beginning, row in BEGINNINGS.items() if code.startswith(beginning)), None)


def _by_row(answer: Answer, row: Row, code: str) -> Verdict:
    sentence = row.sentence.format(mailbox=answer.mailbox)
    if answer.message:
        end = "" if answer.message[-1] in ".!?…" else "."
        sentence = f"{sentence} Graph says: {answer.message}{end}"
    return Verdict(
        outcome=row.outcome,
        blame=row.blame,
        reason=row.reason,
        code=code,
        sentence=sentence,
        advice=row.advice.format(mailbox=answer.mailbox),
        retry_after=answer.retry_after if answer.retry_after is not None else row.wait,
        retry_token=row.retry_token,
        claims=answer.claims if row.retry_token else None,
        enhanced_status=row.status,
        permanent_after=row.permanent_after,
        doubtful=row.doubtful and _came_after_the_whole_mail(answer),
        duplicate=row is DUPLICATE,
        about_recipient=row is RECIPIENTS,
        recipients=named_in(answer.message) if row is RECIPIENTS else (),
    )


def _came_after_the_whole_mail(answer: Answer) -> bool:
    """Whether Graph had all of a mail and then says that the service failed, not that it refuses it."""
    return answer.body_sent and answer.is_json_error and (answer.status or 0) >= 500


__all__ = ["CODES", "SILENT_CEILING", "Verdict", "verdict_of", "verdict_of_token_error"]
