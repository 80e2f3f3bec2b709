"""Every row of what Graph is known to answer, and the rules for what is not."""

import json

import pytest
from requests.structures import CaseInsensitiveDict

from mailrelay.graph import error_table
from mailrelay.graph.answer import answer_of, retry_after
from mailrelay.graph.error_table import CODES
from mailrelay.graph.errors import SILENT_CEILING, verdict_of
from mailrelay.graph.http import Failure, Fault, Phase, Reply
from mailrelay.outbox.holding.configuration_holds import OF_MAILBOX, OF_REGISTRATION
from mailrelay.vocabulary import Blame, Outcome, Reason

S, T, P, C, L, U = (
    Outcome.SENT,
    Outcome.TRANSIENT,
    Outcome.PERMANENT,
    Outcome.CONFIGURATION,
    Outcome.TOO_LARGE,
    Outcome.UNCERTAIN,
)
MESSAGE, MAILBOX, CREDENTIAL, ENDPOINT = Blame.MESSAGE, Blame.MAILBOX, Blame.CREDENTIAL, Blame.ENDPOINT
TOO_BIG = "The maximum request length supported is 4MB."

TOO_MUCH = "Cannot submit message. 0.35180:AC, MapiExceptionMaxSubmissionExceeded: Unable to submit."
LOCATION = (
    "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
    "LocationConditionEvaluationSatisfied"
)


def answered(
    status,
    code="",
    message="",
    *,
    inner=None,
    headers=None,
    body=None,
    sent=True,
    graph=True,
    size=1000,
    **kwargs,
):
    """The answer to a send that Graph replied to with an error object, or with `body` instead of one."""
    given = CaseInsensitiveDict({"request-id": "r-1"} if graph else {})
    given.update(headers or {})
    if body is None:
        error = {"code": code, "message": message}
        if inner is not None:
            error["innerError"] = inner
        body = json.dumps({"error": error}).encode() if code else b""
    reply = Reply(status, Phase.READING, sent, 0.1, given, body, **kwargs)
    return answer_of(reply, mailbox="box@contoso.test", body_size=size)


ROWS = [
    # status, code, message, outcome, blame, reason, enhanced status
    (400, "ErrorMimeContentInvalidBase64String", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (400, "ErrorMimeContentInvalid", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (500, "ErrorMimeContentConversionFailed", "", T, MESSAGE, Reason.SERVER_ERROR, "5.6.0"),
    (500, "ErrorContentConversionFailed", "", T, MESSAGE, Reason.SERVER_ERROR, "5.6.0"),
    (400, "ErrorInvalidRecipients", "", P, MESSAGE, Reason.REJECTED, "5.1.3"),
    (400, "ErrorMissingRecipients", "", P, MESSAGE, Reason.REJECTED, "5.1.3"),
    (400, "ErrorInvalidSmtpAddress", "", P, MESSAGE, Reason.REJECTED, "5.1.3"),
    (400, "ErrorMessageSizeExceeded", "", P, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "ErrorAttachmentSizeLimitExceeded", "", P, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "ErrorRequestStreamTooBig", "", P, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (413, "BadRequest", TOO_BIG, L, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (413, "RequestEntityTooLarge", "", L, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (413, "", "", L, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "BadRequest", TOO_BIG, L, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "BadRequest", "Maximum request length exceeded.", L, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "ErrorInvalidParameter", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (400, "InvalidInternetMessageHeader", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (400, "RequestBodyRead", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (415, "RequestBodyRead", "", P, MESSAGE, Reason.REJECTED, "5.6.0"),
    (401, "InvalidAuthenticationToken", "", T, CREDENTIAL, Reason.CREDENTIAL_REFUSED, "4.7.0"),
    (401, "", "", T, CREDENTIAL, Reason.CREDENTIAL_REFUSED, "4.7.0"),
    (403, "Forbidden", "Invalid S2S auth token", T, CREDENTIAL, Reason.CREDENTIAL_REFUSED, "4.7.0"),
    (401, "NoPermissionsInAccessToken", "", C, CREDENTIAL, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "NoPermissionsInAccessToken", "", C, CREDENTIAL, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "ErrorAccessDenied", "Access to OData is disabled.", C, MAILBOX, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "Authorization_RequestDenied", "", C, MAILBOX, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "", "", C, MAILBOX, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "ErrorSendAsDenied", "", P, MESSAGE, Reason.REJECTED, "5.7.60"),
    (403, "ErrorAccountDisabled", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "ErrorMailboxLogonFailed", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "ErrorPasswordExpired", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (404, "ErrorInvalidUser", "", C, MAILBOX, Reason.MAILBOX_UNKNOWN, "4.7.0"),
    (400, "ErrorInvalidUser", "", C, MAILBOX, Reason.MAILBOX_UNKNOWN, "4.7.0"),
    (404, "ResourceNotFound", "", C, MAILBOX, Reason.MAILBOX_UNKNOWN, "4.7.0"),
    (404, "", "", C, MAILBOX, Reason.MAILBOX_UNKNOWN, "4.7.0"),
    (404, "SomethingMissingIn2031", "", C, MAILBOX, Reason.MAILBOX_UNKNOWN, "4.7.0"),
    (404, "OrganizationFromTenantGuidNotFound", "", C, MAILBOX, Reason.MAILBOX_UNLICENSED, "4.7.0"),
    (401, "OrganizationFromTenantGuidNotFound", "", C, MAILBOX, Reason.MAILBOX_UNLICENSED, "4.7.0"),
    (403, "ErrorMessageSubmissionBlocked", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "ErrorAccountSuspend", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "ErrorAccountSuspended", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "ErrorAccountSuspendShowTierUpgrade", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (403, "AccessDenied", "", C, MAILBOX, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "Forbidden", "", C, MAILBOX, Reason.CONSENT_MISSING, "4.7.0"),
    (403, "ErrorSomethingNewIn2031", "", C, MAILBOX, Reason.MAILBOX_BLOCKED, "4.7.0"),
    (500, "ErrorInternalServerError", TOO_MUCH, P, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (400, "ErrorMessageSubmissionFailed", TOO_MUCH, P, MESSAGE, Reason.TOO_LARGE, "5.3.4"),
    (404, "MailboxNotEnabledForRESTAPI", "", C, MAILBOX, Reason.MAILBOX_UNLICENSED, "4.7.0"),
    (404, "MailboxNotSupportedForRESTAPI", "", C, MAILBOX, Reason.MAILBOX_UNLICENSED, "4.7.0"),
    (404, "ErrorItemNotFound", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (409, "ErrorIrresolvableConflict", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (429, "TooManyRequests", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (429, "ApplicationThrottled", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (429, "CommandConcurrencyLimitReached", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (500, "CommandConcurrencyLimitReached", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (429, "UnknownError", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (429, "", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (429, "ErrorExceededMessageLimit", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (403, "ErrorExceededMessageLimit", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (400, "ErrorExceededMessageLimit", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (500, "ErrorSubmissionQuotaExceeded", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (400, "ErrorQuotaExceeded", "", C, MAILBOX, Reason.MAILBOX_FULL, "4.7.0"),
    (507, "ErrorQuotaExceeded", "", C, MAILBOX, Reason.MAILBOX_FULL, "4.7.0"),
    (507, "InsufficientStorage", "", C, MAILBOX, Reason.MAILBOX_FULL, "4.7.0"),
    (509, "BandwidthLimitExceeded", "", T, MAILBOX, Reason.THROTTLED, "4.3.2"),
    (408, "ErrorTimeoutExpired", "", U, MAILBOX, Reason.UNCERTAIN, "4.0.0"),
    (500, "ErrorInternalServerError", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (500, "ErrorInternalServerTransientError", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (500, "ErrorMailboxStoreUnavailable", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorMailboxMoveInProgress", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorMailboxFailover", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorADUnavailable", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorInsufficientResources", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorConnectionFailed", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorServerTemporaryUnavailable", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "ErrorVirusDetected", "", P, MESSAGE, Reason.REJECTED, "5.7.1"),
    (503, "ErrorServerBusy", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (503, "serviceNotAvailable", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (503, "ServiceUnavailable", "", T, MAILBOX, Reason.SERVER_ERROR, "4.3.2"),
    (500, "", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (502, "", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (503, "", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (408, "", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (504, "GatewayTimeout", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (504, "", "", U, MAILBOX, Reason.UNCERTAIN, "4.4.2"),
    (400, "SomethingNewIn2031", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (418, "Teapot", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (500, "Internal Server Error", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
    (400, "", "", T, MESSAGE, Reason.SERVER_ERROR, "4.3.0"),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "outcome", "blame", "reason", "enhanced"),
    ROWS,
    ids=[f"{row[0]}-{row[1] or 'bare'}-{number}" for number, row in enumerate(ROWS)],
)
def test_each_answer_has_its_meaning(status, code, message, outcome, blame, reason, enhanced):
    verdict = verdict_of(answered(status, code, message))
    assert (verdict.outcome, verdict.blame, verdict.reason) == (outcome, blame, reason)
    assert verdict.enhanced_status == enhanced
    assert verdict.sentence.strip()
    assert "{" not in verdict.sentence + verdict.advice
    assert message in verdict.sentence


def test_the_table_has_no_row_without_a_test():
    assert set(CODES) - {row[1] for row in ROWS} == {"Request_ResourceNotFound", "MailboxConcurrency"}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize("code", ["", "GatewayTimeout"])
def test_what_graph_did_not_get_in_full_is_never_uncertain(status, code):
    assert verdict_of(answered(status, code, sent=False)).outcome is T


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("sent", "outcome"), [(True, U), (False, T)])
def test_without_an_answer_the_last_byte_decides(fault, sent, outcome):
    reply = Reply(None, Phase.WAITING, sent, 1.0, failure=Failure(fault, "it broke"))
    verdict = verdict_of(answer_of(reply, mailbox="box@contoso.test", body_size=10))
    assert (verdict.outcome, verdict.blame, verdict.code) == (outcome, ENDPOINT, fault.value)


def test_a_202_is_sent_and_its_retry_after_is_passed_on():
    verdict = verdict_of(answered(202, headers={"Retry-After": "7"}))
    assert (verdict.outcome, verdict.blame, verdict.retry_after) == (S, Blame.NOBODY, 7.0)


def test_a_202_whose_request_id_was_taken_out_is_sent():
    assert verdict_of(answered(202, graph=False)).outcome is S


@pytest.mark.parametrize("status", [200, 204, 302])
def test_other_good_news_without_a_request_id_is_a_proxys(status):
    assert verdict_of(answered(status, graph=False)).blame is ENDPOINT


@pytest.mark.parametrize("status", [200, 202, 203, 302, 307])
def test_a_page_without_a_request_id_is_a_proxy_and_not_sent(status):
    verdict = verdict_of(answered(status, body=b"<html>Sign in</html>", graph=False))
    assert (verdict.outcome, verdict.blame, verdict.reason) == (T, ENDPOINT, Reason.UNREACHABLE)


@pytest.mark.parametrize("status", [401, 403, 404, 407])
def test_a_proxys_refusal_is_not_taken_for_graphs(status):
    answer = answered(status, body=b"blocked", graph=False, headers={"Content-Type": "text/html"})
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame) == (T, ENDPOINT)


@pytest.mark.parametrize("status", [200, 204])
def test_a_silent_200_above_the_known_ceiling_takes_the_large_route(status):
    assert verdict_of(answered(status, size=SILENT_CEILING + 1)).outcome is L
    assert verdict_of(answered(status, size=SILENT_CEILING)).outcome is U


def test_a_second_refusal_of_the_token_is_a_matter_of_configuration():
    answer = answered(401, "InvalidAuthenticationToken")
    first, second = verdict_of(answer), verdict_of(answer, token_is_fresh=True)
    assert (first.outcome, first.retry_token) == (T, True)
    assert (second.outcome, second.blame, second.retry_token) == (C, CREDENTIAL, False)
    assert verdict_of(answered(401), token_is_fresh=True).outcome is C


@pytest.mark.parametrize(
    "message", [LOCATION, LOCATION.lower(), "code: LocationConditionEvaluationSatisfied"]
)
def test_a_fresh_token_that_is_refused_for_its_place_is_a_matter_of_policy(message):
    answer = answered(401, "InvalidAuthenticationToken", message)
    first, second = verdict_of(answer), verdict_of(answer, token_is_fresh=True)
    assert (first.outcome, first.retry_token) == (T, True)
    assert (second.outcome, second.blame, second.reason) == (C, CREDENTIAL, Reason.CREDENTIAL_REFUSED)
    assert "Conditional Access" in second.sentence
    assert "cloud" not in second.sentence + second.advice


def test_a_mailbox_that_is_blocked_from_sending_is_no_matter_of_consent():
    verdict = verdict_of(answered(403, "ErrorMessageSubmissionBlocked", "Cannot send mail."))
    assert "blocked the mailbox box@contoso.test from sending" in verdict.sentence
    assert "consent" not in verdict.sentence + verdict.advice


def test_an_unknown_404_does_not_claim_that_there_is_no_mailbox():
    said = verdict_of(answered(404, "SomethingMissingIn2031")).sentence
    assert "There is no mailbox" not in said
    assert "There is no mailbox" in verdict_of(answered(404, "ErrorInvalidUser")).sentence
    assert "no Exchange Online" in verdict_of(answered(404, "OrganizationFromTenantGuidNotFound")).sentence


def test_what_is_not_found_is_the_draft_where_the_request_named_one():
    answer = answered(404, "ErrorItemNotFound")
    assert verdict_of(answer, about_draft=True).outcome is U
    assert "nothing was sent" in verdict_of(answer).sentence


def test_a_conversion_failure_becomes_permanent_after_a_few_attempts():
    assert verdict_of(answered(500, "ErrorMimeContentConversionFailed")).permanent_after == 3
    assert verdict_of(answered(500, "ErrorInternalServerError")).permanent_after is None


def test_daily_limits_wait_for_an_hour_unless_graph_says_otherwise():
    assert verdict_of(answered(429, "ErrorExceededMessageLimit")).retry_after == 3600.0
    named = answered(500, "ErrorSubmissionQuotaExceeded", headers={"Retry-After": "90"})
    assert verdict_of(named).retry_after == 90.0
    assert verdict_of(answered(429, "TooManyRequests")).retry_after is None


@pytest.mark.parametrize("spelling", ["innerError", "innererror", "InnerError"])
def test_the_innermost_known_code_decides(spelling):
    body = {"code": "429", spelling: {"code": "ErrorServerBusy", spelling: {"code": "77"}}}
    error = {"error": {"code": "generalException", "message": "m", spelling: body}}
    answer = answered(500, body=json.dumps(error).encode())
    assert answer.codes == ("77", "ErrorServerBusy", "429", "generalException")
    assert verdict_of(answer).code == "ErrorServerBusy"


def test_microsofts_own_sample_of_a_429_is_understood():
    answer = answered(
        429,
        "TooManyRequests",
        "Please retry again later.",
        inner={
            "code": "429",
            "date": "2020-08-18T12:51:51",
            "message": "Please retry after",
            "status": "429",
        },
        headers={"Retry-After": "2.128"},
    )
    verdict = verdict_of(answer)
    assert (verdict.code, verdict.retry_after, verdict.blame) == ("TooManyRequests", 2.128, MAILBOX)


def test_it_names_the_recipients_that_graph_named():
    text = 'At least one recipient is not valid., Recipient "bad@@x" isn\'t resolved. All must be.'
    assert verdict_of(answered(400, "ErrorInvalidRecipients", text)).recipients == ("bad@@x",)


def test_a_claims_challenge_is_passed_on():
    header = 'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="'
    verdict = verdict_of(answered(401, "InvalidAuthenticationToken", headers={"WWW-Authenticate": header}))
    assert (verdict.retry_token, verdict.claims) == (True, '{"access_token":{}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"error": "invalid_client"}',
        b'{"error": {"code": 5}}',
        b'{"error": null}',
        b"[" * 60_000,
        b'{"error":' * 9_000,
        b"\xff\xfe\x00",
        b'{"error": {"code": "a", "innerError": [1]}}',
        json.dumps({"error": {"code": "x" * 9000, "message": "\x00\ud800" + "m" * 9000}}).encode(),
    ],
)
def test_no_body_is_too_odd(body):
    answer = answered(500, body=body)
    verdict = verdict_of(answer)
    stored = f"{answer.code}{answer.message}{answer.raw}{verdict.sentence}"
    stored.encode()  # no lone surrogates
    assert "\x00" not in stored
    assert len(answer.code) <= 100
    assert len(answer.message) <= 500
    assert len(answer.raw) <= 4096


DATE = {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}


@pytest.mark.parametrize(
    ("value", "headers", "seconds"),
    [
        ("5", {}, 5.0),
        (" 5 ", {}, 5.0),
        ("2.128", {}, 2.128),
        ("0", {}, 0.0),
        ("999999999", {}, 86_400.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", DATE, 30.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", DATE, 0.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", {}, 10.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", {"Date": "yesterday"}, 10.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DATE, 86_400.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", DATE, 30.0),
        ("-1", {}, None),
        ("nan", {}, None),
        ("inf", {}, None),
        ("1e9", {}, None),
        ("soon", {}, None),
        ("٥", {}, None),
        ("", {}, None),
        ("9" * 5000, {}, None),
        ("9" * 20, {}, 86_400.0),
        ("9" * 300, {}, 86_400.0),
        ("Sun, 99 Nov 99999 99:99:99 GMT", DATE, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value, headers, seconds):
    given = CaseInsensitiveDict({"retry-after": value, **headers})
    assert retry_after(given, now=784111777.0) == seconds


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Fri, 31 Dec 9999 23:59:59 GMT", "a pause of 8,004 years (Retry-After)"),
        ("864000", "a pause of 10 days (Retry-After)"),
        ("86401", "a pause of 2 days (Retry-After)"),
        ("9" * 300, "a pause of 10,000 years or more (Retry-After)"),
        ("86400", ""),
        ("3600", ""),
        ("soon", ""),
    ],
)
@pytest.mark.parametrize("status", [202, 429, 503, 500])
def test_a_pause_that_is_longer_than_any_that_is_kept_is_said(value, said, status):
    verdict = verdict_of(answered(status, "ApplicationThrottled", headers={"Retry-After": value, **DATE}))
    assert said in verdict.sentence
    assert ("asks again after one day" in verdict.sentence) == bool(said)


def test_no_retry_after_is_no_retry_after():
    assert retry_after(CaseInsensitiveDict()) is None


def test_what_the_configuration_holds_has_a_reason_that_releases_it_again():
    rows = {row for row in vars(error_table).values() if isinstance(row, error_table.Row)}
    held = [row for row in rows if row.outcome is Outcome.CONFIGURATION]
    released = {Blame.MAILBOX: OF_MAILBOX, Blame.CREDENTIAL: OF_REGISTRATION}

    assert len(held) > 8
    assert [row for row in held if row.reason not in released[row.blame]] == []
