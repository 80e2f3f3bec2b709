"""A mail that makes its worker crash is held after the third time, and the others flow meanwhile."""

import pytest
from django.db import DatabaseError

from mailrelay.delivery import pipeline
from mailrelay.outbox.db import counters
from mailrelay.outbox.operators import actions
from mailrelay.outbox.settling import expiry
from mailrelay.vocabulary import Reason, State
from tests.delivery.office import CONFLICT, count, fresh, log, timeline
from tests.harness.processes import mail, rows, send


@pytest.fixture
def crash_on(monkeypatch, request):
    """Let the preparation of chosen mails fail as a fault of ours would."""
    plan, poisonous = pipeline.plan, set()
    fault = getattr(request, "param", RecursionError("maximum recursion depth exceeded"))

    def stumbling(delivery):
        if delivery.pk in poisonous:
            raise fault
        return plan(delivery)

    monkeypatch.setattr(pipeline, "plan", stumbling)
    return poisonous


def test_it_is_held_after_the_third_crash_and_the_others_flow(office, crash_on):
    poison, *others = office.queue(6)
    crash_on.add(poison.pk)

    office.work()

    assert {fresh(row).state for row in others} == {State.SENT}
    assert (fresh(poison).state, poison.crashes) == (State.DEFERRED, 1)
    office.later(60)
    assert (fresh(poison).state, poison.crashes) == (State.DEFERRED, 2)
    office.later(60)
    assert (fresh(poison).state, poison.reason) == (State.HELD, Reason.POISON)
    assert "RecursionError" in poison.last_error
    assert expiry.POISONED in poison.last_error
    assert count(counters.POISON) == 1
    assert log(poison) == []
    office.later(86_400)
    assert fresh(poison).state == State.HELD


@pytest.mark.parametrize(
    "crash_on", [MemoryError(), DatabaseError("out of memory for query result")], indirect=True
)
def test_want_of_memory_for_one_mail_is_that_mails_fault_wherever_it_shows(office, crash_on):
    poison, *others = office.queue(3)
    crash_on.add(poison.pk)

    for _ in range(3):
        office.later(60)

    assert {fresh(row).state for row in others} == {State.SENT}
    assert (fresh(poison).state, poison.reason) == (State.HELD, Reason.POISON)


def test_a_crash_frees_the_slot_for_the_next_at_once(office, crash_on):
    poison = office.queue(4)
    crash_on.update(row.pk for row in poison)
    others = office.queue(4)

    office.work()

    assert {fresh(row).state for row in others} == {State.SENT}


def test_released_poison_has_three_more_tries_and_is_sent_when_the_fault_is_mended(office, crash_on):
    poison = office.one()
    crash_on.add(poison.pk)
    office.work()
    office.later(60)
    office.later(60)

    actions.release(poison.message_id, "ann")
    office.work()
    assert (fresh(poison).state, poison.crashes) == (State.DEFERRED, 1)
    crash_on.clear()
    office.later(120)

    assert fresh(poison).state == State.SENT
    assert "Released by ann" in timeline(poison)


def test_an_attempt_that_was_begun_ends_the_count_of_crashes(office, crash_on):
    delivery = office.one()
    crash_on.add(delivery.pk)
    office.work()
    office.later(60)
    crash_on.clear()
    office.sandbox.fault("sendMail", "status", **CONFLICT)

    office.later(60)

    assert (fresh(delivery).state, delivery.crashes) == (State.DEFERRED, 0)


def test_a_crash_after_the_request_began_is_uncertain_instead(office, monkeypatch):
    def stumble(*_):
        raise AttributeError("a fault of ours")

    monkeypatch.setattr(pipeline.request, "send", stumble)
    delivery = office.one()

    office.work()

    assert (fresh(delivery).state, delivery.reason) == (State.UNCERTAIN, Reason.UNCERTAIN)


def test_a_mail_that_kills_its_worker_three_times_is_held(embedded):
    listener = embedded.listener().start(FAILPOINT="lease.after")
    send(listener.smtp_port, mail(1))
    listener.wait_until_killed()
    for _ in range(2):
        listener.start(wait=False, FAILPOINT="lease.after")
        listener.wait_until_killed()

    listener.start()
    embedded.wait_for(held=1)
    send(listener.smtp_port, mail(2))

    embedded.wait_for(held=1, sent=1)
    ((reason, text),) = rows(
        embedded.environment, "SELECT reason, last_error FROM mailrelay_delivery WHERE state = 'held'"
    )
    assert reason == "poison"
    assert "third" in text
    assert len(embedded.delivered()) == 1
