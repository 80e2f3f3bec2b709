"""Clocks that step, nobody who looks, and hours without Graph: no storm, no loss, and it shows."""

from datetime import timedelta
from itertools import pairwise

import pytest

from mailrelay.health import figures
from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import State
from tests.delivery.office import CONFLICT, fresh

HOUR = 3600


def test_a_clock_that_steps_back_tries_nothing_early_and_stops_no_new_mail(office):
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    deferred = office.one()
    office.work()

    office.later(-HOUR)
    assert (fresh(deferred).state, len(office.requests())) == (State.DEFERRED, 1)
    young = office.one()
    office.work()
    assert fresh(young).state == State.SENT

    office.later(HOUR + 60)
    assert fresh(deferred).state == State.SENT
    assert len(office.requests()) == 3


def test_a_clock_that_steps_forward_tries_what_is_deferred_once_and_fails_nothing(office):
    office.sandbox.fault("sendMail", "status", times=None, **CONFLICT)
    office.queue(10)
    office.work()
    assert (office.states(), len(office.requests())) == ([State.DEFERRED] * 10, 10)

    office.later(HOUR)

    assert (office.states(), len(office.requests())) == ([State.DEFERRED] * 10, 20)


@pytest.mark.parametrize("seconds", [6 * 86_400, 400 * 86_400])
def test_a_first_attempt_after_the_clock_was_set_puts_its_mail_off_and_ends_nothing(office, seconds):
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    office.beat()
    deferred = office.one()

    office.later(seconds)
    assert (fresh(deferred).state, deferred.attempts) == (State.DEFERRED, 1)
    office.beat()
    office.later(120)
    assert fresh(deferred).state == State.SENT


def test_mail_that_nobody_looks_after_shows_by_the_age_of_the_oldest(office):
    delivery = office.one()
    Delivery.objects.filter(pk=delivery.pk).update(created_at=clock.now() - timedelta(seconds=400))

    assert figures.gather().oldest_queued_age >= 400
    office.work()
    assert figures.gather().oldest_queued_age == 0


def test_a_backlog_of_a_long_outage_drains_oldest_first_at_the_limit(office):
    Mailbox.objects.update(messages_per_minute=10)
    office.sandbox.fault("sendMail", "proxy_page", times=None)
    backlog = office.queue(35)
    office.work()
    for _ in range(12):
        office.later(HOUR / 2)
    asked = len(office.requests())
    assert asked <= 13
    assert set(office.states()) == {State.QUEUED}

    office.sandbox.clear_faults()
    drained = []
    for _ in range(5):
        office.later(60)
        drained.append(office.states().count(State.SENT))

    assert drained[-1] == 35
    assert drained[0] <= 11
    assert all(later - earlier <= 11 for earlier, later in pairwise(drained))
    sent = [line["internet_message_id"] for line in office.requests() if line["status"] == 202]
    assert sent == [f"<{delivery.message.message_id}>" for delivery in backlog]
