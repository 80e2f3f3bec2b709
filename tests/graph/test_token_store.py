"""Tokens: fetched once, renewed in time, and used to their end."""

import threading

import pytest

from mailrelay.graph.entra import roles_of
from mailrelay.graph.http import GraphSession
from mailrelay.graph.tokens import TokenStore
from mailrelay.vocabulary import Blame, Outcome, Reason

from .conftest import CLIENT, failure, make_credential

T, C = Outcome.TRANSIENT, Outcome.CONFIGURATION


def test_it_fetches_once_and_remembers(store, credential, requests_made, events):
    first = store.get(credential)
    assert store.get(credential) is first
    assert requests_made() == 1
    assert first.roles == ("Mail.Send",)
    assert first.expires_at - first.acquired_at == 3599
    assert events == [("refreshed", "1:1")]


def test_twenty_cold_threads_make_one_request(store, credential, requests_made, sandbox):
    sandbox.fault("token", "latency", ms=300, times=None)
    ready, tokens = threading.Barrier(20), []

    def work() -> None:
        ready.wait(60)
        tokens.append(store.get(credential).value)

    in_threads(20, work)
    assert len(tokens) == 20
    assert len(set(tokens)) == 1
    assert requests_made() == 1


def test_twenty_cold_threads_share_one_failure(store, sandbox, requests_made, events):
    sandbox.fault("token", "latency", ms=300, times=None)
    wrong = make_credential(sandbox.base_url, secret="no")
    ready, verdicts = threading.Barrier(20), []

    def work() -> None:
        ready.wait(60)
        verdicts.append(failure(store, wrong).reason)

    in_threads(20, work)
    assert verdicts == [Reason.SECRET_WRONG] * 20
    assert requests_made() < 20  # late threads may ask again, waiting ones never do
    assert len(events) == requests_made()


def in_threads(number, work):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)


def test_a_changed_version_is_another_credential(store, sandbox, requests_made):
    old, new = make_credential(sandbox.base_url), make_credential(sandbox.base_url, key="1:2")
    store.get(old)
    store.get(new)
    assert requests_made() == 2
    assert not store.status(old).valid  # the old version's token has no business in memory
    assert store.status(new).valid


def test_a_late_user_of_the_old_version_does_not_disturb_the_new_one(store, sandbox, requests_made):
    old, new = make_credential(sandbox.base_url), make_credential(sandbox.base_url, key="1:2")
    late = store.get(old)
    store.get(new)
    store.invalidate(old, late.value)
    store.renew_due([old])
    assert store.status(new).valid
    assert requests_made() == 2


def test_it_renews_ten_minutes_ahead_and_not_before(store, credential, clock, requests_made):
    first = store.get(credential)
    clock.ahead = 2900
    store.renew_due([credential])
    assert store.get(credential) is first
    clock.ahead = 3020
    store.renew_due([credential])
    assert store.get(credential).value != first.value
    assert requests_made() == 2


def test_a_token_of_400_seconds_is_renewed_at_half_its_life(store, credential, clock, sandbox):
    sandbox.world(behaviour={"token_lifetime": 400})
    first = store.get(credential)
    clock.ahead = 150
    store.renew_due([credential])
    assert store.get(credential) is first
    clock.ahead = 220
    store.renew_due([credential])
    assert store.get(credential).value != first.value


def test_a_cached_token_is_used_to_its_end_while_entra_is_down(store, credential, clock, sandbox, events):
    first = store.get(credential)
    sandbox.fault("token", "status", status=503, times=None)
    clock.ahead = 3100
    store.renew_due([credential])
    assert events[-1][0] == "failed"
    status = store.status(credential)
    assert (status.valid, status.verdict.outcome) == (True, T)
    clock.ahead = 3590
    assert store.get(credential) is first
    clock.ahead = 3700
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame) == (T, Blame.CREDENTIAL)
    assert not store.status(credential).valid

    sandbox.clear_faults()
    assert store.get(credential).value != first.value
    assert store.status(credential).verdict is None


def test_a_cached_token_is_used_while_entra_cannot_be_reached(store, credential, clock, sandbox_process):
    first = store.get(credential)
    clock.ahead = 3100
    sandbox_process.stop()
    try:
        store.renew_due([credential])
        assert store.get(credential) is first
        assert store.status(credential).verdict.reason is Reason.UNREACHABLE
    finally:
        sandbox_process.start()


def test_a_failed_renewal_is_not_tried_again_at_once(store, credential, clock, sandbox, requests_made):
    store.get(credential)
    sandbox.fault("token", "status", status=503, times=None)
    clock.ahead = 3100
    for _ in range(5):
        store.renew_due([credential])
    assert requests_made() == 2
    clock.ahead = 3140
    store.renew_due([credential])
    assert requests_made() == 3


def test_entras_retry_after_is_kept(store, credential, clock, sandbox, requests_made):
    sandbox.fault("token", "status", status=429, retry_after="20")
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.reason, verdict.retry_after) == (T, Reason.THROTTLED, 20.0)
    assert failure(store, credential) == verdict
    assert requests_made() == 1
    clock.ahead = 21
    assert store.get(credential).value


def test_a_mended_secret_works_at_once(store, sandbox, credential):
    wrong = make_credential(sandbox.base_url, key="1:0", secret="typo")
    assert failure(store, wrong).reason is Reason.SECRET_WRONG
    assert store.get(credential).value
    sandbox.world(apps={CLIENT: {"secrets": ["typo"]}})
    assert store.get(wrong).value  # also when it is fixed on the other side, within msal's 60 s of memory


def test_it_drops_only_the_token_that_was_refused(store, credential):
    first = store.get(credential)
    store.invalidate(credential, "another one")
    assert store.get(credential) is first
    store.invalidate(credential, first.value)
    second = store.get(credential)
    assert second.value != first.value
    store.invalidate(credential, first.value)
    assert store.get(credential) is second


def test_a_claims_challenge_is_answered_with_the_next_token(entra):
    credential, store = make_credential(entra.peer.url, tenant_id="t"), TokenStore(GraphSession())
    claims = '{"access_token":{"nbf":{"value":"1"}}}'
    first = store.get(credential)
    store.invalidate(credential, first.value, claims=claims)
    second = store.get(credential)
    store.invalidate(credential, second.value)
    store.get(credential)
    assert (first.value, second.value) == ("token-1", "token-2")
    assert [form.get("claims") for form in entra.forms] == [None, [claims], None]
    assert entra.forms[0]["scope"] == [f"{entra.peer.url}/.default"]


def test_a_listener_that_fails_costs_nothing(session, credential, caplog):
    def broken(*_):
        raise LookupError("no database")

    store = TokenStore(session, on_refreshed=broken)
    assert store.get(credential).value
    assert "listener" in caplog.text


@pytest.mark.parametrize("days", [1, 10, 400])
def test_a_token_of_a_clock_that_was_ahead_is_not_good_for_days(
    store, credential, clock, requests_made, days
):
    before = store.get(credential)
    clock.ahead = -86_400 * days

    assert not store.status(credential).valid
    assert store.get(credential) is not before
    assert requests_made() == 2


def test_a_quiet_of_years_that_entra_asks_for_is_said(store, credential, sandbox):
    sandbox.fault("token", "status", status=429, retry_after="Fri, 31 Dec 9999 23:59:59 GMT")
    verdict = failure(store, credential)
    assert verdict.retry_after == 86_400
    assert "years (Retry-After); the gateway asks again after one day." in verdict.sentence


def test_a_quiet_that_entra_asked_for_by_a_clock_ahead_does_not_last_for_days(
    store, credential, clock, sandbox
):
    clock.ahead = 10 * 86_400
    sandbox.fault("token", "throttled", retry_after="200")
    assert failure(store, credential).retry_after == 200
    clock.ahead = 0

    assert store.get(credential).value


def test_rbac_leaves_the_roles_unknown(store, sandbox):
    sandbox.world(apps={CLIENT: {"roles": [], "rbac": {"Mail.Send": ["*"]}}})
    assert store.get(make_credential(sandbox.base_url)).roles is None


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "..", "e30.W10.", "e30.eyJyb2xlcyI6NX0.x", "a.\xff.c"]
)
def test_an_odd_token_has_unknown_roles(token):
    assert roles_of(token) is None
