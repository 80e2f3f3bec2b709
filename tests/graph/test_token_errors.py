"""What Entra's refusals mean, and what trouble on the way to it means."""

import json

import pytest
from requests.structures import CaseInsensitiveDict

from mailrelay.graph.errors import verdict_of_token_error
from mailrelay.graph.http import Failure, Fault, Phase, Reply
from mailrelay.graph.token_errors import NUMBERS
from mailrelay.vocabulary import Blame, Outcome, Reason

from .conftest import CLIENT, failure, make_credential

T, C = Outcome.TRANSIENT, Outcome.CONFIGURATION


REFUSALS = [
    # AADSTS number, outcome, reason
    (7000215, C, Reason.SECRET_WRONG),
    (7000222, C, Reason.SECRET_EXPIRED),
    (700016, C, Reason.CREDENTIAL_REFUSED),
    (90002, C, Reason.CREDENTIAL_REFUSED),
    (53003, C, Reason.CREDENTIAL_REFUSED),
    (530032, C, Reason.CREDENTIAL_REFUSED),
    (90038, C, Reason.CREDENTIAL_REFUSED),
    (900382, C, Reason.CREDENTIAL_REFUSED),
    (900432, C, Reason.CREDENTIAL_REFUSED),
    (700027, C, Reason.CREDENTIAL_REFUSED),
    (700024, C, Reason.CREDENTIAL_REFUSED),
    (700211, C, Reason.CREDENTIAL_REFUSED),
    (70011, C, Reason.CREDENTIAL_REFUSED),
    (999999, C, Reason.CREDENTIAL_REFUSED),
    (90055, T, Reason.THROTTLED),
    (90006, T, Reason.SERVER_ERROR),
    (90012, T, Reason.SERVER_ERROR),
    (90024, T, Reason.SERVER_ERROR),
    (90033, T, Reason.SERVER_ERROR),
    (90090, T, Reason.SERVER_ERROR),
]


@pytest.mark.parametrize(("number", "outcome", "reason"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
def test_each_refusal_of_entra_has_its_meaning(store, credential, sandbox, number, outcome, reason):
    sandbox.fault("token", "aadsts", code=number)
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame, verdict.reason) == (outcome, Blame.CREDENTIAL, reason)
    assert verdict.code == f"AADSTS{number}"
    assert CLIENT in verdict.sentence or credential.tenant_id in verdict.sentence
    assert verdict.advice
    assert store.get(credential).value  # the next try is not answered from a memory of the error


def test_a_secret_that_expired_says_so(store, sandbox):
    expired = make_credential(sandbox.base_url, secret="sandbox-expired-secret")
    assert failure(store, expired).reason is Reason.SECRET_EXPIRED


@pytest.mark.parametrize("where", ["discovery", "token"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "proxy_page"},
        {"kind": "redirect"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 502, "json": False},
        {"kind": "status", "status": 429},
        {"kind": "reset_before_body"},
        {"kind": "reset_after_accept"},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_trouble_on_the_way_to_entra_is_transient(store, credential, sandbox, where, fault):
    sandbox.fault(where, **fault)
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame) == (T, Blame.CREDENTIAL)
    sandbox.clear_faults()
    with store._store.lock:  # whatever Retry-After said, the trouble is over
        store._entry(credential).not_before = 0
    assert store.get(credential).value


def test_an_unknown_tenant_is_a_matter_of_configuration(store, sandbox):
    verdict = failure(
        store, make_credential(sandbox.base_url, tenant_id="99999999-0000-0000-0000-000000000000")
    )
    assert (verdict.outcome, verdict.code) == (C, "AADSTS90002")


def test_an_unknown_app_is_a_matter_of_configuration(store, sandbox):
    verdict = failure(
        store, make_credential(sandbox.base_url, client_id="99999999-0000-0000-0000-000000000000")
    )
    assert (verdict.outcome, verdict.code) == (C, "AADSTS700016")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret": ""}, "secret is not set"),
        ({"authority_host": "http://entra.test"}, "http://entra.test, not an https URL"),
        ({"authority_host": "https://"}, "a setting is malformed"),
    ],
)
def test_what_cannot_be_presented_is_a_matter_of_configuration(store, sandbox, requests_made, changes, said):
    verdict = failure(store, make_credential(sandbox.base_url, **changes))
    assert said in verdict.sentence
    assert (verdict.outcome, verdict.reason) == (C, Reason.CREDENTIAL_MISSING)
    assert requests_made() == 0


@pytest.mark.parametrize(
    ("status", "document", "outcome", "reason", "code"),
    [
        (401, {"error": "invalid_client"}, C, Reason.CREDENTIAL_REFUSED, "invalid_client"),
        (400, {"error": "unauthorized_client"}, C, Reason.CREDENTIAL_REFUSED, "unauthorized_client"),
        (400, {"error": "invalid_scope"}, C, Reason.CREDENTIAL_REFUSED, "invalid_scope"),
        (400, {"error": "interaction_required"}, C, Reason.CREDENTIAL_REFUSED, "interaction_required"),
        (400, {"error": "temporarily_unavailable"}, T, Reason.SERVER_ERROR, "temporarily_unavailable"),
        (400, {"error": "invalid_client", "error_codes": [90033]}, T, Reason.SERVER_ERROR, "AADSTS90033"),
        (400, {"error": "odd", "error_codes": "7000215"}, C, Reason.CREDENTIAL_REFUSED, "odd"),
        (500, {"error": "server_error"}, T, Reason.SERVER_ERROR, "server_error"),
        (404, {"no": "error"}, T, Reason.SERVER_ERROR, "HTTP 404"),
        (200, "<html>", T, Reason.SERVER_ERROR, "HTTP 200"),
        (200, None, T, Reason.SERVER_ERROR, "HTTP 200"),
    ],
)
def test_errors_are_classified_by_word_and_status_first(status, document, outcome, reason, code):
    body = b"" if document is None else json.dumps(document).encode()
    reply = Reply(status, Phase.READING, True, 0.1, CaseInsensitiveDict(), body)
    verdict = verdict_of_token_error(reply, make_credential("https://entra.test"))
    assert (verdict.outcome, verdict.reason, verdict.code) == (outcome, reason, code)


def test_a_failure_of_the_network_is_told_with_its_host():
    reply = Reply(
        None, Phase.CONNECT, False, 0.1, failure=Failure(Fault.DNS, "its name could not be resolved")
    )
    verdict = verdict_of_token_error(reply, make_credential("https://entra.test"))
    assert (verdict.outcome, verdict.reason, verdict.code) == (T, Reason.UNREACHABLE, "dns")
    assert "https://entra.test" in verdict.sentence


def test_every_known_number_is_tested():
    assert set(NUMBERS) - {row[0] for row in REFUSALS} == {70021, 700212, 700213}  # synonyms of 700211
