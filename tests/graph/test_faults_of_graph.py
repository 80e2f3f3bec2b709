"""Each way in which Graph can answer a send, over real https, against what was really delivered."""

import uuid

import pytest

from mailrelay.graph.credentials import Credential
from mailrelay.graph.errors import verdict_of
from mailrelay.graph.http import Timeouts
from mailrelay.graph.sendmail import probe_mailbox
from mailrelay.vocabulary import Blame, Outcome, Reason

from .conftest import IMPATIENT, MAILBOX, MIME, TENANT, make_credential


def test_it_delivers_the_bytes_that_were_given(send, sandbox):
    answer = send()
    verdict = verdict_of(answer)
    (delivery,) = sandbox.deliveries()
    assert (verdict.outcome, verdict.blame) == (Outcome.SENT, Blame.NOBODY)
    assert sandbox.raw(delivery["seq"]) == MIME
    assert (answer.status, answer.is_graph, bool(answer.request_id)) == (202, True, True)
    assert answer.body_size == pytest.approx(len(MIME), abs=2)


FAULTS = [
    # fault, outcome, blame, retry_after, copies delivered
    ({"kind": "status", "status": 503, "retry_after": "3"}, Outcome.TRANSIENT, Blame.MAILBOX, 3.0, 0),
    ({"kind": "status", "status": 500}, Outcome.TRANSIENT, Blame.MESSAGE, None, 0),
    ({"kind": "status", "status": 500, "json": False}, Outcome.UNCERTAIN, Blame.MAILBOX, None, 0),
    ({"kind": "status", "status": 502, "json": False}, Outcome.UNCERTAIN, Blame.MAILBOX, None, 0),
    ({"kind": "status", "status": 504}, Outcome.UNCERTAIN, Blame.MAILBOX, None, 0),
    ({"kind": "status", "status": 413}, Outcome.TOO_LARGE, Blame.MESSAGE, None, 0),
    ({"kind": "throttled", "retry_after": "2.5"}, Outcome.TRANSIENT, Blame.MAILBOX, 2.5, 0),
    ({"kind": "throttled", "retry_after": "garbage"}, Outcome.TRANSIENT, Blame.MAILBOX, None, 0),
    ({"kind": "token_expired"}, Outcome.TRANSIENT, Blame.CREDENTIAL, None, 0),
    ({"kind": "claims_challenge"}, Outcome.TRANSIENT, Blame.CREDENTIAL, None, 0),
    ({"kind": "proxy_page"}, Outcome.TRANSIENT, Blame.ENDPOINT, None, 0),
    ({"kind": "redirect"}, Outcome.TRANSIENT, Blame.ENDPOINT, None, 0),
    ({"kind": "silent_200"}, Outcome.UNCERTAIN, Blame.MESSAGE, None, 0),
    ({"kind": "accept_then_status"}, Outcome.UNCERTAIN, Blame.MAILBOX, None, 1),
    ({"kind": "reset_after_accept"}, Outcome.UNCERTAIN, Blame.ENDPOINT, None, 1),
    ({"kind": "accept_with_retry_after", "retry_after": "9"}, Outcome.SENT, Blame.NOBODY, 9.0, 1),
    ({"kind": "slow_response", "seconds": 0.2}, Outcome.SENT, Blame.NOBODY, None, 1),
    ({"kind": "latency", "ms": 100}, Outcome.SENT, Blame.NOBODY, None, 1),
    ({"kind": "duplicate"}, Outcome.SENT, Blame.NOBODY, None, 2),
]


@pytest.mark.parametrize(
    ("fault", "outcome", "blame", "wait", "copies"),
    FAULTS,
    ids=[f"{row[0]['kind']}-{row[0].get('status', '')}-{number}" for number, row in enumerate(FAULTS)],
)
def test_each_fault_has_its_verdict(send, sandbox, fault, outcome, blame, wait, copies):
    sandbox.fault("sendMail", **fault)
    answer = send()
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame, verdict.retry_after) == (outcome, blame, wait), answer
    assert len(sandbox.deliveries()) == copies
    assert sandbox.faults() == []  # it was this fault that was met


@pytest.mark.parametrize("kind", ["hang", "hang_after_accept"])
def test_a_hang_ends_at_the_deadline_and_is_uncertain(send, sandbox, kind):
    send()  # so that the deadline is spent on the send alone
    sandbox.fault("sendMail", kind, seconds=60)
    verdict = verdict_of(send(timeout=IMPATIENT))
    assert (verdict.outcome, verdict.blame) == (Outcome.UNCERTAIN, Blame.ENDPOINT)


def test_a_frozen_service_ends_at_the_deadline(send, sandbox):
    send()
    sandbox.pause()
    try:
        answer = send(timeout=Timeouts(connect=1, stall=1, total=1))
    finally:
        sandbox.resume()
    assert answer.status is None
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize("kind", ["reset_before_body", "reset_mid_body"])
def test_a_reset_before_the_end_of_a_large_body_is_never_called_sent(send, sandbox, kind):
    sandbox.fault("sendMail", kind)
    answer = send(mime=MIME + b"x" * 3_000_000)
    assert verdict_of(answer).outcome in (Outcome.TRANSIENT, Outcome.UNCERTAIN)
    assert (verdict_of(answer).outcome is Outcome.UNCERTAIN) == answer.body_sent
    assert sandbox.deliveries() == []


def test_more_than_four_megabytes_are_too_large(send, sandbox):
    verdict = verdict_of(send(mime=MIME + b"x" * 3_200_000))
    assert (verdict.outcome, verdict.blame) == (Outcome.TOO_LARGE, Blame.MESSAGE)
    assert sandbox.deliveries() == []


def test_a_silent_200_on_a_large_mail_takes_the_large_route(send, sandbox):
    sandbox.world(behaviour={"silent_200_above": 2_240_000})
    assert verdict_of(send(mime=MIME + b"x" * 2_500_000)).outcome is Outcome.TOO_LARGE
    assert sandbox.deliveries() == []


MAILBOXES = [
    ("unlicensed@contoso.test", Outcome.CONFIGURATION, Reason.MAILBOX_UNLICENSED),
    ("nobody@contoso.test", Outcome.CONFIGURATION, Reason.MAILBOX_UNKNOWN),
    ("outofscope@contoso.test", Outcome.CONFIGURATION, Reason.CONSENT_MISSING),
    ("policy@contoso.test", Outcome.CONFIGURATION, Reason.CONSENT_MISSING),
    ("full@contoso.test", Outcome.CONFIGURATION, Reason.MAILBOX_FULL),
    ("blocked@contoso.test", Outcome.CONFIGURATION, Reason.MAILBOX_BLOCKED),
    ("quota@contoso.test", Outcome.TRANSIENT, Reason.THROTTLED),
]


@pytest.mark.parametrize(("mailbox", "outcome", "reason"), MAILBOXES, ids=[row[0] for row in MAILBOXES])
def test_each_kind_of_mailbox_is_blamed_by_name(send, mailbox, outcome, reason):
    verdict = verdict_of(send(mailbox, MIME.replace(b"gateway@contoso.test", mailbox.encode())))
    assert (verdict.outcome, verdict.blame, verdict.reason) == (outcome, Blame.MAILBOX, reason)
    assert mailbox in verdict.sentence


def test_a_foreign_from_is_the_messages_own_fault(send):
    verdict = verdict_of(send(mime=MIME.replace(b"gateway@contoso.test", b"shared@contoso.test")))
    assert (verdict.outcome, verdict.blame, verdict.enhanced_status) == (
        Outcome.PERMANENT,
        Blame.MESSAGE,
        "5.7.60",
    )


def test_a_message_without_recipients_is_permanent(send):
    verdict = verdict_of(send(mime=MIME.replace(b"To: alice@example.org\r\n", b"")))
    assert (verdict.outcome, verdict.blame, verdict.code) == (
        Outcome.PERMANENT,
        Blame.MESSAGE,
        "ErrorInvalidRecipients",
    )


def test_a_revoked_token_is_refreshed_and_the_mail_goes(send, sandbox, store, credential):
    old = store.get(credential)
    sandbox.revoke_tokens()
    verdict = verdict_of(send())
    assert verdict.retry_token
    store.invalidate(credential, old.value, claims=verdict.claims)
    assert verdict_of(send(), token_is_fresh=True).outcome is Outcome.SENT
    assert store.get(credential).value != old.value


@pytest.fixture
def probe(session, store, credential):
    def probe(mailbox: str, credential: Credential = credential):
        return probe_mailbox(
            session, store.get(credential), credential, mailbox, client_request_id=str(uuid.uuid4())
        )

    return probe


def test_a_mailbox_whose_name_begins_with_a_dollar_sign_is_found(probe, sandbox):
    sandbox.world(mailboxes={"cash@contoso.test": {"tenant": TENANT, "upn": "$cash@contoso.test"}})
    assert probe("$cash@contoso.test").usable
    assert not probe("cash@contoso.test").usable


@pytest.mark.parametrize("mailbox", [MAILBOX, "shared@contoso.test", "old.name@contoso.test"])
def test_a_probe_finds_a_usable_mailbox_and_sends_nothing(probe, sandbox, mailbox):
    assert probe(mailbox).usable
    assert sandbox.deliveries() == []


@pytest.mark.parametrize(
    ("mailbox", "reason"),
    [
        ("unlicensed@contoso.test", Reason.MAILBOX_UNLICENSED),
        ("nobody@contoso.test", Reason.MAILBOX_UNKNOWN),
        ("outofscope@contoso.test", Reason.CONSENT_MISSING),
        ("blocked@contoso.test", Reason.MAILBOX_BLOCKED),
    ],
)
def test_a_probe_tells_why_a_mailbox_is_not_usable(probe, mailbox, reason):
    found = probe(mailbox)
    assert (found.usable, found.verdict.reason) == (False, reason)
    assert found.verdict.advice


def test_a_probe_through_rbac_needs_no_role_in_the_token(probe, store, sandbox):
    rbac = make_credential(
        sandbox.base_url,
        key="2:1",
        client_id="66666666-6666-6666-6666-666666666666",
        secret="sandbox-secret-rbac",
    )
    assert store.get(rbac).roles is None
    mailboxes = sandbox.world()["apps"][rbac.client_id]["rbac"]
    allowed = next(iter(mailboxes.values()))[0]
    assert probe(MAILBOX if allowed == "*" else allowed, rbac).usable
