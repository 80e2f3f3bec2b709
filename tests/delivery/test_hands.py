"""Requeue, hold, release, cancel: each from its own states, once however often, never under a worker."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mailrelay.delivery import pipeline
from mailrelay.models import Delivery, TimelineEntry
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import counters
from mailrelay.outbox.operators import actions
from mailrelay.vocabulary import Outcome, Reason, State
from tests.delivery.office import CONFLICT, count, fresh, timeline

#: What each action makes of a delivery in each state; what is not named here stays as it is.
TURNS = {
    "requeue": dict.fromkeys((State.DEFERRED, State.HELD, State.FAILED, State.UNCERTAIN), State.QUEUED),
    "hold": dict.fromkeys((State.QUEUED, State.RESERVED, State.DEFERRED, State.UNCERTAIN), State.HELD),
    "release": {State.HELD: State.QUEUED},
    "cancel": dict.fromkeys(
        (State.QUEUED, State.RESERVED, State.DEFERRED, State.HELD, State.UNCERTAIN), State.CANCELLED
    ),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("action", list(actions.ACTIONS))
def test_each_action_moves_the_states_that_it_is_for(office, action, state):
    delivery = office.one(state=state)
    wanted = TURNS[action].get(state)

    moved = actions.ACTIONS[action](delivery.message_id, "ann")

    assert moved == (wanted is not None)
    fresh(delivery)
    assert delivery.state == (wanted or state)
    assert (delivery.token, delivery.leased_until, delivery.next_attempt_at) == (None, None, None)
    assert ("by ann" in timeline(delivery)) == (wanted is not None)


@pytest.mark.parametrize("action", list(actions.ACTIONS))
def test_the_second_time_does_nothing(office, action):
    before = next(iter(TURNS[action]))
    delivery = office.one(state=before)

    assert actions.ACTIONS[action](delivery.message_id, "ann") == 1
    assert actions.ACTIONS[action](delivery.message_id, "ann") == 0

    assert TimelineEntry.objects.filter(delivery=delivery).count() == 1


def test_what_was_reserved_can_still_be_cancelled_and_is_not_sent(office):
    delivery = office.one()
    (reservation,) = office.reserve()

    assert actions.cancel(delivery.message_id, "ann") == 1
    pipeline.deliver(reservation.delivery_id, reservation.token)

    assert fresh(delivery).state == State.CANCELLED
    assert office.requests() == []
    assert count(counters.CLAIM_CONFLICTS) == 1


def test_what_a_worker_has_in_hand_goes_on(office):
    delivery = office.one()
    (reservation,) = office.reserve()
    leases.take(reservation.delivery_id, reservation.token)

    assert actions.cancel(delivery.message_id, "ann") == 0
    assert actions.hold(delivery.message_id, "ann") == 0

    assert fresh(delivery).state == State.SENDING


def test_a_cancel_and_a_worker_that_race_end_with_one_winner(office):
    deliveries = office.queue(4)
    reserved = {each.delivery_id: each for each in office.reserve()}

    def race(delivery):
        with ThreadPoolExecutor(2) as both:
            taken = both.submit(leases.take, delivery.pk, reserved[delivery.pk].token)
            moved = both.submit(actions.cancel, delivery.message_id, "ann")
            return taken.result() is not None, moved.result()

    for delivery in deliveries:
        taken, moved = race(delivery)
        assert taken != bool(moved)
        assert fresh(delivery).state == (State.SENDING if taken else State.CANCELLED)


def test_held_mail_waits_until_it_is_released(office):
    delivery = office.one()
    actions.hold(delivery.message_id, "ann")

    office.work()
    office.later(86_400)
    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.BY_HAND)

    actions.release(delivery.message_id, "bob")
    office.work()
    assert fresh(delivery).state == State.SENT
    assert timeline(delivery) == "Held by ann.\nReleased by bob."


def test_a_requeue_tries_deferred_mail_at_once(office):
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    delivery = office.one()
    office.work()
    assert fresh(delivery).state == State.DEFERRED

    actions.requeue(delivery.message_id, "ann")
    office.work()

    assert fresh(delivery).state == State.SENT


def test_failed_mail_can_be_tried_again(office):
    office.sandbox.fault("sendMail", "status", status=400, code="ErrorMimeContentInvalid")
    delivery = office.one()
    office.work()
    assert fresh(delivery).state == State.FAILED

    actions.requeue(delivery.message_id, "ann")
    office.work()

    assert fresh(delivery).state == fresh(delivery.message).state == State.SENT


@pytest.mark.parametrize("action", [actions.requeue, actions.release])
def test_sending_again_what_graph_may_have_sent_is_counted_and_said(office, action):
    office.mailbox.senders.update(uncertain_policy="hold")
    office.sandbox.fault("sendMail", "accept_then_status", times=None)
    delivery = office.one()
    office.work()
    assert fresh(delivery).state == State.HELD

    action(delivery.message_id, "ann")

    assert fresh(delivery).copies == count(counters.SECOND_COPIES) == 0
    assert "may be a second copy" in timeline(delivery)
    actions.hold(delivery.message_id, "ann")
    action(delivery.message_id, "ann")
    office.later(2)
    assert fresh(delivery).copies == count(counters.SECOND_COPIES) == 1
    assert "Sent again by hand" in timeline(delivery)
    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert len(office.delivered()) == 2


def test_leave_for_a_second_copy_is_for_one_attempt(office):
    office.mailbox.senders.update(uncertain_policy="hold")
    office.sandbox.fault("sendMail", "accept_then_status", times=None)
    delivery = office.one()
    office.work()
    for times in (1, 2):
        actions.release(delivery.message_id, "ann")
        office.later(86_400)
        assert fresh(delivery).copies == count(counters.SECOND_COPIES) == times
        assert (delivery.state, delivery.copy_allowed) == (State.HELD, False)
    assert len(office.delivered()) == 3


def test_leave_that_is_taken_back_counts_no_copy(office):
    office.mailbox.senders.update(uncertain_policy="hold")
    office.sandbox.fault("sendMail", "accept_then_status")
    delivery = office.one()
    office.work()

    actions.release(delivery.message_id, "ann")
    actions.cancel(delivery.message_id, "ann")
    office.later(86_400)

    assert (fresh(delivery).copies, delivery.copy_allowed) == (0, False)
    assert len(office.delivered()) == 1


def test_uncertain_mail_can_be_held_before_it_is_sent_again(office):
    office.sandbox.fault("sendMail", "accept_then_status")
    delivery = office.one()
    office.work()
    assert fresh(delivery).state == State.UNCERTAIN

    actions.hold(delivery.message_id, "ann")
    office.later(86_400)

    assert fresh(delivery).state == State.HELD
    assert len(office.delivered()) == 1
    assert Delivery.objects.get().log.get().outcome == Outcome.UNCERTAIN


def test_releasing_what_a_broken_mailbox_holds_holds_it_again_without_a_request(office):
    delivery = office.one(box=office.box("blocked@contoso.test"))
    office.work()
    asked = len(office.requests())

    actions.release(delivery.message_id, "ann")
    office.work()

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.MAILBOX_BLOCKED)
    assert len(office.requests()) == asked


@pytest.mark.parametrize(
    ("action", "before"),
    [(actions.release, State.HELD), (actions.requeue, State.FAILED), (actions.requeue, State.HELD)],
)
def test_mail_that_is_set_free_has_its_whole_time_again(office, settings, action, before):
    settings.DELIVERY_MAX_AGE = 60
    delivery = office.one(state=before)
    office.later(120)
    office.sandbox.fault("sendMail", "status", times=None, **CONFLICT)

    action(delivery.message_id, "ann")
    office.work()
    assert (fresh(delivery).state, delivery.attempts) == (State.DEFERRED, 1)

    office.later(61)
    assert (fresh(delivery).state, delivery.reason) == (State.FAILED, Reason.TOO_OLD)
