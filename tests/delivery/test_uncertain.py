"""Mail that Graph may have sent: the sender's policy decides, and there is one second copy at most, ever."""

import pytest

from mailrelay.delivery import pipeline
from mailrelay.models import Delivery, Mailbox, SenderConfig
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.result import Result
from mailrelay.outbox.settling import settle
from mailrelay.vocabulary import Blame, Outcome, Reason, State, UncertainPolicy
from tests.delivery.office import count, fresh, log, timeline
from tests.harness.processes import mail, rows, send

#: Graph took the mail, and the answer does not say so.
AMBIGUOUS = {
    "504": {"kind": "accept_then_status"},
    "504 without JSON": {"kind": "accept_then_status", "json": False},
    "500 without JSON": {"kind": "accept_then_status", "status": 500, "json": False},
    "502 page": {"kind": "accept_with_proxy_page"},
    "reset": {"kind": "reset_after_accept"},
    "hang": {"kind": "hang_after_accept"},
}
LATER = 601


@pytest.fixture(autouse=True)
def impatient(settings):
    settings.GRAPH_TIMEOUT = 2


def begin(office) -> tuple[Delivery, leases.Attempt]:
    """Let a worker take a delivery and begin its attempt, and then fall silent."""
    (reservation,) = office.reserve()
    delivery = leases.take(reservation.delivery_id, reservation.token)
    return delivery, leases.begin(delivery, 100)


def sent() -> Result:
    return Result(Outcome.SENT, "Graph accepted the message.", http_status=202)


def policy(office, word) -> None:
    SenderConfig.objects.filter(mailbox=office.mailbox).update(uncertain_policy=word)


@pytest.mark.parametrize("fault", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_it_is_resent_once_after_the_delay_with_the_same_message_id(office, fault):
    office.sandbox.fault("sendMail", **fault)
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.attempts) == (State.UNCERTAIN, Reason.UNCERTAIN, 0)
    office.later(LATER - 10)
    assert len(office.requests()) == 1
    office.later(10)
    office.later(70)
    assert fresh(delivery).state == State.SENT
    assert office.delivered() == [f"<{delivery.message.message_id}>"] * 2
    assert delivery.copies == count(counters.SECOND_COPIES) == count(counters.UNCERTAIN) == 1
    assert "second copy" in timeline(delivery)
    assert [entry.outcome for entry in log(delivery)] == [Outcome.UNCERTAIN, Outcome.SENT]


@pytest.mark.parametrize(
    ("word", "state"), [(UncertainPolicy.HOLD, State.HELD), (UncertainPolicy.FAIL, State.FAILED)]
)
def test_another_policy_sends_no_second_copy(office, word, state):
    policy(office, word)
    office.sandbox.fault("sendMail", "accept_then_status")
    delivery = office.one()

    office.work()
    office.later(LATER)

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.copies) == (state, Reason.UNCERTAIN, 0)
    assert "Sent Items" in delivery.last_error
    assert len(office.delivered()) == 1
    assert count(counters.SECOND_COPIES) == 0


def test_there_is_never_a_third_copy_though_every_answer_is_a_504(office):
    office.sandbox.fault("sendMail", "accept_then_status", times=None)
    delivery = office.one()

    office.work()
    for _ in range(10):
        office.later(LATER)

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.copies) == (State.HELD, Reason.UNCERTAIN, 1)
    assert len(office.delivered()) == 2


def test_a_transient_answer_to_the_second_try_does_not_earn_a_third_copy(office):
    office.sandbox.fault("sendMail", "accept_then_status")
    office.sandbox.fault("sendMail", "status", status=409, code="ErrorIrresolvableConflict")
    office.sandbox.fault("sendMail", "accept_then_status", times=None)
    delivery = office.one()

    office.work()
    for _ in range(10):
        office.later(LATER)

    assert fresh(delivery).state == State.HELD
    assert len(office.delivered()) == 2


def test_silence_in_the_face_of_a_small_200_is_uncertain(office):
    office.sandbox.fault("sendMail", "silent_200")
    delivery = office.one()

    office.work()

    assert fresh(delivery).state == State.UNCERTAIN


def test_a_late_answer_settles_the_attempt_that_was_given_up(office):
    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)
    assert fresh(delivery).state == State.UNCERTAIN

    settle.end_attempt(attempt, sent())

    assert fresh(delivery).state == State.SENT
    assert [entry.outcome for entry in log(delivery)] == [Outcome.SENT]
    assert "came late" in timeline(delivery)
    office.later(LATER)
    assert office.requests() == []


def test_a_late_answer_stops_the_resend_that_waits_for_a_worker(office):
    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)
    office._ahead += clock.seconds(LATER)
    (reservation,) = office.reserve()
    assert fresh(delivery).state == State.RESERVED

    settle.end_attempt(attempt, sent())
    pipeline.deliver(reservation.delivery_id, reservation.token)

    assert fresh(delivery).state == State.SENT
    assert office.requests() == []


def test_a_late_answer_after_a_later_attempt_has_begun_says_possible_second_copy(office):
    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)
    office.later(LATER)
    assert fresh(delivery).state == State.SENT
    before = count(counters.SECOND_COPIES)

    settle.end_attempt(attempt, sent())

    assert fresh(delivery).state == State.SENT
    assert [entry.outcome for entry in log(delivery)] == [Outcome.SENT, Outcome.SENT]
    assert "Possible second copy" in timeline(delivery)
    assert count(counters.SECOND_COPIES) == before + 1


def test_a_late_answer_that_is_uncertain_too_changes_nothing(office):
    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)
    waits = fresh(delivery).next_attempt_at

    settle.end_attempt(attempt, Result(Outcome.UNCERTAIN, "silence", Blame.MAILBOX, Reason.UNCERTAIN))

    fresh(delivery)
    assert (delivery.state, delivery.next_attempt_at) == (State.UNCERTAIN, waits)
    assert count(counters.UNCERTAIN) == 1
    assert fresh(office.mailbox).paused_until is None


def test_a_late_refusal_settles_it_without_a_second_copy(office):
    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)

    settle.end_attempt(attempt, Result(Outcome.PERMANENT, "refused", Blame.MESSAGE, Reason.REJECTED))

    assert fresh(delivery).state == State.FAILED
    office.later(LATER)
    assert office.requests() == []


def test_a_late_passing_refusal_does_not_release_what_a_person_holds(office):
    from mailrelay.outbox.operators import actions

    delivery = office.one()
    _, attempt = begin(office)
    office.later(61)
    actions.hold(delivery.message_id, "ann")

    settle.end_attempt(attempt, Result(Outcome.TRANSIENT, "busy", Blame.MAILBOX, Reason.SERVER_ERROR))
    office.later(LATER)

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.HELD, Reason.BY_HAND)


def test_an_answer_recorded_twice_counts_once(office):
    delivery = office.one()
    _, attempt = begin(office)
    settle.end_attempt(attempt, sent())
    settle.end_attempt(attempt, sent())

    assert fresh(delivery).state == State.SENT
    assert count(counters.SENT) == 1


def test_a_connection_without_answer_keeps_its_slot_for_a_while(office):
    office.sandbox.fault("sendMail", "reset_after_accept")
    office.one()

    office.work()

    assert len(fresh(office.mailbox).cooling) == 1


@pytest.mark.parametrize(
    ("word", "state"), [(UncertainPolicy.RESEND, State.HELD), (UncertainPolicy.FAIL, State.FAILED)]
)
def test_what_may_have_been_sent_is_not_said_to_be_undelivered_when_it_is_too_old(
    office, settings, word, state
):
    office.sandbox.fault("sendMail", "accept_then_status")
    delivery = office.one()
    office.work()
    policy(office, word)
    Mailbox.objects.update(paused_until=clock.now() + clock.seconds(10 * settings.DELIVERY_MAX_AGE))

    office.later(LATER)
    assert fresh(delivery).state == State.QUEUED
    office.later(settings.DELIVERY_MAX_AGE)

    assert (fresh(delivery).state, delivery.reason) == (state, Reason.UNCERTAIN)
    assert "not found out whether it was sent" in delivery.last_error
    assert len(office.delivered()) == 1


def test_a_gateway_on_a_cluster_resends_once_and_then_holds(on_redis):
    on_redis.environment |= {"UNCERTAIN_DELAY": "1", "GRAPH_TIMEOUT": "3"}
    listener = on_redis.start()
    on_redis.sandbox.fault("sendMail", "accept_then_status", times=None)

    send(listener.smtp_port, mail(1))

    on_redis.wait_for(held=1)
    assert len(on_redis.delivered()) == 2
    assert rows(on_redis.environment, "SELECT copies, reason FROM mailrelay_delivery") == [(1, "uncertain")]
