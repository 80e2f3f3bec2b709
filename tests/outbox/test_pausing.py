"""A paused sender's mail is accepted, held and released; what is in hand goes on; others are not touched."""

import pytest

from mailrelay.models import AppRegistration, Delivery, Mailbox, Message
from mailrelay.outbox.claiming import claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.operators import actions, pausing
from mailrelay.outbox.scheduling import scheduler
from mailrelay.vocabulary import Reason, State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


def standing():
    return sorted(Delivery.objects.values_list("state", "reason"))


@pytest.fixture
def box():
    rows.workers()
    return rows.mailbox(concurrency=0)


def owner(box):
    return rows.sender(box)


def test_pausing_holds_what_waits_and_resuming_releases_it(box):
    rows.queue(box, 3)

    assert pausing.pause(owner(box), "ada", "Invoices are wrong")
    assert standing() == [("held", "sender_paused")] * 3
    assert {message.state for message in Message.objects.all()} == {State.HELD}
    text = Delivery.objects.first().last_error
    assert "paused by ada: Invoices are wrong. Resume it" in text

    assert pausing.resume(owner(box))
    assert standing() == [("queued", "")] * 3
    assert len(claim.claim(box.pk)) == 3


def test_mail_that_comes_during_a_pause_is_held_and_not_claimed(box):
    pausing.pause(owner(box), "ada", "no")
    rows.queue(box, 2)

    assert claim.claim(box.pk) == []

    assert standing() == [("held", "sender_paused")] * 2


def test_what_is_claimed_already_goes_on(box):
    rows.queue(box, 1)
    (taken,) = claim.claim(box.pk)

    pausing.pause(owner(box), "ada", "no")

    assert Delivery.objects.get(pk=taken.delivery_id).state == State.RESERVED


def test_another_sender_of_the_mailbox_goes_on(box):
    paused = rows.queue(box, 40, client="a")[0].sender
    other = type(paused).objects.create(name="other", mailbox=box)
    (goes_on,) = rows.queue(box, 1, client="b")
    Delivery.objects.filter(pk=goes_on.pk).update(sender=other)
    # Without the batches of the sweep: the claim alone keeps what is paused from going out.
    type(paused).objects.filter(pk=paused.pk).update(paused_at=clock.now(), paused_by="ada")

    taken = [one.delivery_id for _ in range(3) for one in claim.claim(box.pk)]

    assert taken == [goes_on.pk]
    assert Delivery.objects.filter(reason=Reason.SENDER_PAUSED).count() == 40


def test_what_a_person_queues_or_holds_keeps_to_that(box):
    by_hand, released = rows.queue(box, 2)
    actions.hold(by_hand.message_id, "ada")
    pausing.pause(owner(box), "ada", "no")
    actions.release(released.message_id, "ada")
    assert claim.claim(box.pk) == []
    assert standing() == [("held", "by_hand"), ("held", "sender_paused")]

    pausing.resume(owner(box))

    assert standing() == [("held", "by_hand"), ("queued", "")]


def test_a_sender_that_is_off_as_well_stays_off(box):
    rows.queue(box, 1)
    pausing.pause(owner(box), "ada", "no")
    sender = owner(box)
    type(sender).objects.update(active=False)

    pausing.resume(sender)

    assert standing() == [("held", "sender_paused")]
    type(sender).objects.update(active=True)
    configuration_holds.reconcile()
    assert standing() == [("queued", "")]


def test_twice_is_once(box):
    assert pausing.pause(owner(box), "ada", "first")
    assert not pausing.pause(owner(box), "bob", "second")
    assert owner(box).pause_reason == "first"
    assert pausing.resume(owner(box))
    assert not pausing.resume(owner(box))


def test_a_pause_costs_a_claim_no_more_than_a_batch(box):
    rows.queue(box, 100)
    sender = owner(box)
    type(sender).objects.update(paused_at=clock.now(), paused_by="ada")

    assert claim.claim(box.pk) == []

    assert Delivery.objects.filter(state=State.HELD).count() == claim.MOST_AT_ONCE
    assert Mailbox.objects.get().wake_at <= clock.now()


def test_mail_of_a_paused_sender_is_no_probe(box):
    (row,) = rows.queue(box, 1)
    AppRegistration.objects.update(failing=Reason.SECRET_WRONG, retry_at=clock.now())
    Delivery.objects.update(state=State.HELD, reason=Reason.SECRET_WRONG)
    type(row.sender).objects.update(paused_at=clock.now(), paused_by="ada")

    scheduler.tick()

    assert Delivery.objects.get().state == State.HELD
    assert Delivery.objects.get().claims == 0
