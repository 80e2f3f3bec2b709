"""Requests beside the mail take slots of their mailbox, and give them back."""

from datetime import timedelta

import pytest

from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.outbox.claiming import claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.rules import limits
from mailrelay.outbox.scheduling import side_requests
from mailrelay.vocabulary import State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def able():
    rows.workers()


def fresh(row):
    row.refresh_from_db()
    return row


def flying(box, count) -> None:
    rows.queue(box, count, state=State.SENDING, leased_until=clock.now() + timedelta(minutes=1))


def test_mail_has_one_slot_less_while_an_errand_is_under_way():
    box = rows.mailbox(concurrency=2)
    slot = side_requests.take(box, 2)
    rows.queue(box, 3)

    assert len(claim.claim(box.pk)) == 1
    side_requests.give_back(slot)
    assert fresh(box).wake_at <= clock.now()
    assert len(claim.claim(box.pk)) == 1


def test_there_is_none_to_spare_while_mail_has_all_slots():
    box = rows.mailbox(concurrency=2)
    flying(box, 2)

    assert side_requests.take(box, 1) is None
    Delivery.objects.update(state=State.SENT)
    assert side_requests.take(box, 1) is not None


def test_errands_have_no_more_slots_than_mail():
    box = rows.mailbox(concurrency=2)

    assert [side_requests.take(box, 1) is not None for _ in range(3)] == [True, True, False]


def test_a_mailbox_without_the_limit_has_always_one():
    box = rows.mailbox(concurrency=0)
    flying(box, 30)

    assert side_requests.take(box, 1) is not None


def test_their_requests_count_in_the_window_and_wait_for_it():
    box = rows.mailbox(requests_per_10_minutes=3)

    slot = side_requests.take(box, 2)
    assert limits.used(fresh(box), clock.now())["requests_per_10_minutes"] == 2
    side_requests.give_back(slot)
    assert side_requests.take(box, 2) is not None
    assert side_requests.take(box, 2) is None


def test_a_mailbox_that_rests_is_left_alone():
    box = rows.mailbox(paused_until=clock.now() + timedelta(minutes=1))

    assert side_requests.take(box, 1) is None


def test_an_application_whose_own_cap_is_reached_is_left_alone():
    box = rows.mailbox(concurrency=0)
    AppRegistration.objects.update(concurrency=1)
    box = Mailbox.objects.select_related("registration").get(pk=box.pk)
    flying(box, 1)

    assert side_requests.take(box, 1) is None


def test_a_slot_that_nobody_gives_back_is_free_after_a_while(monkeypatch):
    box = rows.mailbox(concurrency=1)
    side_requests.take(box, 1)
    rows.queue(box, 1)
    assert claim.claim(box.pk) == []
    assert fresh(box).wake_at <= clock.now() + timedelta(seconds=side_requests.HELD)

    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=side_requests.HELD + 1))
    rows.workers()
    assert len(claim.claim(box.pk)) == 1


def test_a_slot_whose_request_took_too_long_is_not_free_at_once(monkeypatch):
    box = rows.mailbox(concurrency=1)
    slot = side_requests.take(box, 1)
    monkeypatch.setattr(side_requests, "PROMPT", -1.0)

    side_requests.give_back(slot)

    assert side_requests.take(box, 1) is None
