"""Passing faults: what certainly was not sent is tried again, and delivered once when the fault is over."""

from datetime import timedelta
from itertools import pairwise

import certifi
import pytest

from mailrelay.delivery import tokens
from mailrelay.models import AppRegistration, Delivery
from mailrelay.outbox.db import clock
from mailrelay.outbox.holding import blame
from mailrelay.vocabulary import Outcome, Reason, State
from tests.delivery.office import CONFLICT, MAIL, fresh, log
from tests.harness.processes import mail, rows, send
from tests.outbox.rows import give

#: Microsoft was not reached, or something else answered: everything behind it waits, no mail is blamed.
ELSEWHERE = {
    "proxy page": {"kind": "proxy_page"},
    "proxy page 407": {"kind": "proxy_page", "status": 407},
    "redirect": {"kind": "redirect"},
}


def waits(delivery) -> float:
    return (fresh(delivery).next_attempt_at - clock.now()).total_seconds()


def assert_sent_once(office, delivery) -> None:
    assert fresh(delivery).state == State.SENT
    assert office.delivered() == [f"<{delivery.message.message_id}>"]


@pytest.mark.parametrize("status", [400, 409])
def test_an_error_of_exchange_defers_the_message(office, status):
    office.sandbox.fault("sendMail", "status", status=status, code="ErrorInternalServerTransientError")
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.attempts) == (State.DEFERRED, Reason.SERVER_ERROR, 1)
    assert "internal error" in delivery.last_error
    office.later(waits(delivery) + 0.1)
    assert_sent_once(office, delivery)
    assert [entry.outcome for entry in log(delivery)] == [Outcome.TRANSIENT, Outcome.SENT]
    assert log(delivery)[0].graph_code == "ErrorInternalServerTransientError"


def test_an_item_that_exchange_does_not_find_leaves_a_whole_mail_unsent_and_due_again(office):
    office.sandbox.fault("sendMail", "status", status=404, code="ErrorItemNotFound", times=2)
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.copies) == (State.DEFERRED, Reason.SERVER_ERROR, 0)
    assert "nothing was sent" in delivery.last_error
    assert "draft is gone" not in delivery.last_error
    for _ in range(2):
        office.later(waits(delivery) + 0.1)
    assert_sent_once(office, delivery)
    assert fresh(delivery).copies == 0


def test_the_wait_doubles_with_some_chance_up_to_the_longest(office, settings):
    settings.DELIVERY_RETRY_MIN, settings.DELIVERY_RETRY_MAX = 10, 100
    office.sandbox.fault("sendMail", "status", **CONFLICT, times=None)
    delivery = office.one()
    office.work()
    seen = [waits(delivery)]

    for _ in range(5):
        office.later(seen[-1] + 0.1)
        seen.append(waits(delivery))

    assert fresh(delivery).attempts == 6
    for wait, middle in zip(seen, (10, 20, 40, 80, 100, 100), strict=True):
        assert middle * 0.75 < wait < middle * 1.25
    assert len({round(blame.backoff(10, 100, 1), 6) for _ in range(20)}) > 1


def test_other_mail_of_the_mailbox_overtakes_a_deferred_one(office):
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    first, second = office.one(), office.one()

    office.work()

    assert (fresh(first).state, fresh(second).state) == (State.DEFERRED, State.SENT)


@pytest.mark.parametrize("fault", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_something_that_answers_in_graphs_place_is_not_taken_for_it(office, fault):
    office.sandbox.fault("sendMail", **fault)
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == (State.QUEUED, 0, None)
    assert fresh(office.registration).failing == Reason.UNREACHABLE
    office.later(2)
    assert_sent_once(office, delivery)
    assert fresh(office.registration).failing == Reason.NONE


def test_an_answer_that_blames_the_mailbox_proves_that_graph_is_reached(office):
    office.sandbox.fault("sendMail", "proxy_page")
    delivery = office.one()
    office.work()
    assert fresh(office.registration).failing == Reason.UNREACHABLE

    office.sandbox.fault("sendMail", "throttled", retry_after="3")
    office.later(2)
    assert fresh(office.registration).failing == Reason.NONE
    office.later(4)

    assert_sent_once(office, delivery)


def test_a_probe_through_a_broken_mailbox_frees_the_others(office):
    office.one(box=office.box("blocked@contoso.test"))
    office.sandbox.fault("sendMail", "proxy_page", times=2)
    delivery = office.one()
    office.work()
    assert fresh(office.registration).failing == Reason.UNREACHABLE

    for _ in range(4):
        office.later(31)

    assert fresh(delivery).state == State.SENT
    assert fresh(office.registration).failing == Reason.NONE


def test_nobody_listens(office):
    office.queue(1)
    office.work()  # the token is at hand
    delivery = office.queue(3)[0]
    office.sandbox.stop()

    office.work()
    assert office.states() == [State.SENT] + [State.QUEUED] * 3
    failures = fresh(office.registration).failures
    assert failures == 1
    office.later(1.3)
    assert fresh(office.registration).failures == failures + 1

    office.sandbox.start()
    office.later(31)
    assert office.states() == [State.SENT] * 4
    assert len(office.delivered()) == 3  # the first one's copy went with the sandbox's memory
    assert fresh(delivery).attempts == 0


def test_pauses_of_an_unreachable_endpoint_grow_to_the_interval_of_probes(office):
    office.queue(8)
    office.sandbox.stop()
    office.work()
    seen = []

    for _ in range(8):
        office.later(40)
        row = fresh(office.registration)
        seen.append((row.retry_at - clock.now()).total_seconds())

    assert all(later > earlier for earlier, later in pairwise(seen[:4]))
    assert max(seen) <= 36
    assert office.states() == [State.QUEUED] * 8
    office.sandbox.start()
    office.later(40)
    assert office.states() == [State.SENT] * 8


def test_a_name_that_does_not_resolve(office):
    AppRegistration.objects.update(authority_host="https://entra.invalid")
    delivery = office.one()

    office.work()

    assert fresh(delivery).state == State.QUEUED
    assert fresh(office.registration).failing == Reason.UNREACHABLE
    AppRegistration.objects.update(authority_host=office.sandbox.base_url, version=2)
    office.later(31)
    assert_sent_once(office, delivery)


def test_a_certificate_that_is_not_trusted(office, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    delivery = office.one()

    office.work()

    assert fresh(delivery).state == State.QUEUED
    assert "certificate" in fresh(office.registration).failing_text
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", office.sandbox.ca_file)
    monkeypatch.setattr(tokens, "_edge", None)
    office.later(31)
    assert_sent_once(office, delivery)


@pytest.mark.parametrize("kind", ["token_expired", "claims_challenge"])
def test_a_token_that_graph_refuses_is_renewed_once_within_the_attempt(office, kind):
    office.sandbox.fault("sendMail", kind)
    delivery = office.one()

    office.work()

    assert_sent_once(office, delivery)
    assert len(office.requests()) == len(office.requests("token")) == 2
    assert (fresh(delivery).attempts, len(log(delivery))) == (0, 1)


def test_fresh_tokens_that_graph_refuses_too_are_a_matter_of_configuration(office):
    office.sandbox.fault("sendMail", "token_expired", times=None)
    deliveries = office.queue(6)

    office.work()

    assert {(fresh(row).state, row.reason) for row in deliveries} == {(State.HELD, Reason.CREDENTIAL_REFUSED)}
    asked = len(office.requests())
    office.later(31)
    assert len(office.requests()) <= asked + 2
    office.sandbox.clear_faults()
    office.later(31)
    assert office.states() == [State.SENT] * 6
    assert len(office.delivered()) == 6


def test_tokens_that_were_revoked_cost_no_mail_an_attempt(office):
    office.queue(1)
    office.work()
    office.sandbox.revoke_tokens()

    delivery = office.one()
    office.work()

    assert (fresh(delivery).state, delivery.attempts) == (State.SENT, 0)


def test_entra_away_costs_nothing_while_a_token_lasts(office):
    office.queue(1)
    office.work()
    office.sandbox.fault("token", "status", status=503, times=None)

    office.queue(5)
    office.work()

    assert office.states() == [State.SENT] * 6


def test_entra_away_without_a_token_lets_mail_wait_in_the_queue(office):
    office.sandbox.fault("token", "status", status=503, retry_after="20")
    deliveries = office.queue(5)

    office.work()

    assert office.states() == [State.QUEUED] * 5
    assert len(office.requests("token")) == 1
    office.later(21)
    assert office.states() == [State.SENT] * 5
    assert {fresh(row).attempts for row in deliveries} == {0}


def test_a_slow_answer_is_waited_for(office):
    office.sandbox.fault("sendMail", "slow_response", seconds=1.5)
    delivery = office.one()

    office.work()

    assert_sent_once(office, delivery)


def test_a_connection_that_breaks_early_in_a_large_mail_has_sent_nothing(office):
    office.sandbox.fault("sendMail", "reset_before_body")
    delivery = office.one()
    text = MAIL.format(to="ann@example.org", id=delivery.message.message_id) + ("y" * 76 + "\r\n") * 38_000
    give(delivery, text.encode())

    office.work()
    first = log(delivery)[0].outcome
    office.later(601)
    office.later(601)

    # Whether the last byte was handed to the system before the reset came is the kernel's affair.
    assert first in {Outcome.TRANSIENT, Outcome.UNCERTAIN}
    assert fresh(delivery).copies == (first == Outcome.UNCERTAIN)
    assert_sent_once(office, delivery)


def test_what_passes_only_in_name_fails_after_its_third_time(office):
    office.sandbox.fault(
        "sendMail", "status", status=500, code="ErrorMimeContentConversionFailed", times=None
    )
    delivery = office.one()
    office.work()

    for _ in range(2):
        assert fresh(delivery).state == State.DEFERRED
        office.later(waits(delivery) + 0.1)

    assert fresh(delivery).state == State.FAILED
    assert len(office.requests()) == 3


@pytest.mark.parametrize("token", ["a\\r\\nb", "caf\u00e9", "\u20ac\u20ac"])
def test_a_token_that_can_be_none_is_no_fault_of_the_mail(office, token, caplog):
    reply = f'{{"token_type": "Bearer", "expires_in": 3599, "access_token": "{token}"}}'
    office.sandbox.fault("token", "proxy_page", body=reply, times=2)
    delivery, other = office.queue(2)

    office.work()

    assert (fresh(delivery).state, delivery.crashes, delivery.attempts) == (State.QUEUED, 0, 0)
    registration = fresh(office.registration)
    assert registration.failing == Reason.SERVER_ERROR
    assert "holds no token that can be used" in registration.failing_text
    assert "Traceback" not in caplog.text
    assert not office.requests()
    for _ in range(3):
        office.later(blame.PROBE_INTERVAL)
    assert (fresh(delivery).state, fresh(other).state) == (State.SENT, State.SENT)


def test_it_fails_when_no_time_is_left_for_another_try(office, settings):
    settings.DELIVERY_MAX_AGE = 60
    office.sandbox.fault("sendMail", "status", **CONFLICT, times=None)
    delivery = office.one()
    Delivery.objects.filter(pk=delivery.pk).update(created_at=clock.now() - timedelta(seconds=50))
    office.work()
    assert fresh(delivery).state == State.DEFERRED

    for _ in range(4):  # tries are spread over a quarter of the time at least
        if fresh(delivery).state == State.DEFERRED:
            office.later(waits(delivery) + 0.1)

    assert (fresh(delivery).state, delivery.reason) == (State.FAILED, Reason.TOO_OLD)
    assert delivery.last_error


def test_mail_that_waited_too_long_behind_a_pause_fails(office, settings):
    settings.DELIVERY_MAX_AGE = 60
    office.sandbox.fault("sendMail", "throttled", retry_after="3600")
    delivery = office.one()
    office.work()

    office.later(61)

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TOO_OLD)
    assert delivery.last_error.startswith("Too old")


def test_a_gateway_whose_network_heals_delivers_each_mail_once(embedded):
    listener = embedded.start()
    for kind in ("proxy_page", "redirect", "status", "token_expired", "throttled"):
        embedded.sandbox.fault("sendMail", kind, skip=3, retry_after="1")
    for number in range(40):
        send(listener.smtp_port, mail(number))

    embedded.wait_for(sent=40)

    ids = [delivery["internet_message_id"] for delivery in embedded.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(40))
    copies = "SELECT COUNT(*) FROM mailrelay_delivery WHERE copies > 0"
    assert rows(embedded.environment, copies) == [(1,)], "after the 503 alone it was not certain"
