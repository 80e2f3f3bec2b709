"""The look for uncertain mail: what is another's copy, what is no answer, and what may no longer be seen."""

from datetime import timedelta

import pytest

from mailrelay.delivery import outcome_lookup, tokens
from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, Recipient, SenderConfig
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.operators import actions, registrations
from mailrelay.vocabulary import Reason, State, UncertainPolicy
from tests.delivery.office import count, fresh, timeline
from tests.large.test_faults import open_drafts
from tests.large.test_uncertain_sending import LATER, large
from tests.outbox import rows

BOB = "bob@example.org"
NOT_APPLIED = {"kind": "status", "status": 504}


def people(office) -> list[list[str]]:
    return sorted(mail["recipients"] for mail in office.sandbox.deliveries())


def second_part(delivery) -> Delivery:
    """Make the message of `delivery` one of two parts, as an accept does of very many recipients."""
    Message.objects.filter(pk=delivery.message_id).update(recipient_count=2)
    Delivery.objects.filter(pk=delivery.pk).update(part=1)
    other = Delivery.objects.get(pk=delivery.pk)
    other.pk, other.part = None, 2
    other.save(force_insert=True)
    Recipient.objects.create(message=delivery.message, delivery=other, address=BOB, address_key=BOB)
    return other


def same_id(one: Delivery, other: Delivery) -> None:
    """Give a message the Message-ID of another, as some applications do to all of theirs."""
    key, row = one.message.message_id, ContentChunk.objects.filter(content=other.message_id)
    data = bytes(row.get().data).replace(other.message.message_id.encode(), key.encode())
    row.update(data=data)
    Message.objects.filter(pk=other.message_id).update(message_id=key, message_id_key=key)


def test_the_copy_of_another_part_does_not_settle_a_part_that_was_not_sent(writer):
    first = writer.one()
    second = second_part(first)
    writer.sandbox.fault("sendMail", skip=1, **NOT_APPLIED)

    writer.work()
    assert [fresh(first).state, fresh(second).state] == [State.SENT, State.UNCERTAIN]
    writer.later(LATER)

    assert fresh(second).state == State.SENT
    assert people(writer) == [["ann@example.org"], [BOB]]


def test_the_copy_of_a_part_settles_that_part(writer):
    first = writer.one()
    second = second_part(first)
    writer.sandbox.fault("sendMail", "accept_then_status", times=2)

    writer.work()
    writer.later(60)
    assert [fresh(first).state, fresh(second).state] == [State.UNCERTAIN] * 2
    writer.later(LATER)

    assert [fresh(first).state, fresh(second).state] == [State.SENT] * 2
    assert people(writer) == [["ann@example.org"], [BOB]]
    assert count(counters.SECOND_COPIES) == 0


@pytest.mark.parametrize("to", [BOB, "ann@example.org"])
def test_the_copy_of_another_mail_with_the_same_message_id_does_not_settle_this_one(writer, to):
    one = writer.one()
    writer.work()
    other = writer.one(to=[to])
    same_id(one, other)
    writer.sandbox.fault("sendMail", **NOT_APPLIED)

    writer.work()
    writer.later(LATER)

    assert fresh(other).state == State.SENT
    assert people(writer) == sorted([["ann@example.org"], [to]])


def test_of_two_such_mails_to_the_same_people_both_copies_settle_both(writer):
    one, other = writer.one(), writer.one()
    same_id(one, other)
    writer.sandbox.fault("sendMail", "accept_then_status", times=2)

    writer.work()
    writer.later(60)
    assert [fresh(one).state, fresh(other).state] == [State.UNCERTAIN] * 2
    writer.later(LATER)

    assert [fresh(one).state, fresh(other).state] == [State.SENT] * 2
    assert len(people(writer)) == 2


def test_a_mail_sent_once_more_by_hand_is_not_settled_by_its_first_copy(writer):
    from mailrelay.outbox.operators import resend

    delivery = writer.one()
    writer.work()
    writer.sandbox.fault("sendMail", **NOT_APPLIED)
    resend.resend(delivery.message_id, "ann", seen=1)
    SenderConfig.objects.update(uncertain_policy=UncertainPolicy.HOLD)

    writer.work()
    writer.later(LATER)

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert len(people(writer)) == 1


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "throttled", "retry_after": "5"}, {"kind": "token_expired"}],
    ids=["busy", "throttled", "token"],
)
def test_a_look_that_fails_is_made_again_before_anything_is_sent(writer, fault):
    writer.sandbox.fault("sendMail", "accept_then_status")
    writer.sandbox.fault("folders", **fault)
    delivery = writer.one()

    writer.work()
    writer.later(LATER)
    writer.later(LATER)

    assert fresh(delivery).state == State.SENT
    assert len(people(writer)) == 1
    assert delivery.copies == count(counters.SECOND_COPIES) == 0


def test_a_look_that_fails_for_hours_leaves_it_to_the_policy(writer):
    writer.sandbox.fault("sendMail", "accept_then_status")
    writer.sandbox.fault("folders", "status", status=503, times=None)
    delivery = writer.one()

    writer.work()
    writer.later(LATER)
    assert fresh(delivery).state == State.UNCERTAIN
    assert "asked again" in timeline(delivery)
    writer.later(outcome_lookup.PATIENCE.total_seconds())

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 1)


def test_a_folder_that_may_not_be_read_leaves_it_to_the_policy_at_once(writer):
    SenderConfig.objects.update(uncertain_policy=UncertainPolicy.HOLD)
    writer.sandbox.fault("sendMail", "accept_then_status")
    writer.sandbox.fault("folders", "status", status=403, code="ErrorAccessDenied", times=None)
    delivery = writer.one()

    writer.work()
    writer.later(LATER)

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)


def test_a_draft_that_may_not_be_read_any_more_is_held_and_sent_once_when_it_may(writer, queued):
    writer.sandbox.fault("send", **NOT_APPLIED)
    delivery = queued(large())

    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    writer.sandbox.fault("messages", "status", status=403, code="ErrorAccessDenied")
    writer.later(LATER)
    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert "may lie in the mailbox unsent" in delivery.last_error
    assert open_drafts(writer) == 1
    actions.release(delivery.message_id, "ann")
    writer.work()

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 0)
    assert len(people(writer)) == 1
    assert open_drafts(writer) == 0


def test_a_draft_that_cannot_be_asked_for_hours_is_held(writer, queued):
    writer.sandbox.fault("send", **NOT_APPLIED)
    delivery = queued(large())
    writer.work()
    writer.sandbox.fault("messages", "status", status=503, times=None)

    writer.later(LATER)
    assert fresh(delivery).state == State.UNCERTAIN
    writer.later(outcome_lookup.PATIENCE.total_seconds())

    assert fresh(delivery).state == State.HELD
    assert "may lie in the mailbox unsent" in delivery.last_error


def test_a_token_that_another_mail_lost_after_the_attempt_was_on_record_is_no_doubt(writer, monkeypatch):
    SenderConfig.objects.update(uncertain_policy=UncertainPolicy.HOLD)
    begin = leases.begin

    def refused_elsewhere(*args, **options):
        attempt = begin(*args, **options)
        _, store = tokens.graph_clients()
        (entry,) = store._store.entries.values()
        entry.token = None
        writer.sandbox.revoke_tokens()
        writer.sandbox.fault("token", "aadsts", code=7000222, times=None)
        return attempt

    monkeypatch.setattr(leases, "begin", refused_elsewhere)
    delivery = writer.one()

    writer.work()

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.SECRET_EXPIRED)
    assert count(counters.UNCERTAIN) == 0
    assert people(writer) == []


def test_what_was_made_before_the_attempt_is_no_copy_of_it(writer):
    """Also where no attempt of that Message-ID is on record any more."""
    one = writer.one()
    writer.work()
    writer._ahead += timedelta(minutes=10)
    other = writer.one()
    same_id(one, other)
    one.message.delete()
    writer.sandbox.fault("sendMail", **NOT_APPLIED)

    writer.later(0)
    assert fresh(other).state == State.UNCERTAIN
    writer.later(LATER)

    assert (fresh(other).state, other.copies) == (State.SENT, 1)


@pytest.mark.parametrize("heavy", [False, True], ids=["whole", "draft"])
def test_mail_in_doubt_that_is_held_for_its_mailbox_does_not_follow_its_sender_elsewhere(
    writer, queued, heavy
):
    if heavy:
        writer.sandbox.fault("send", **NOT_APPLIED)
    else:
        writer.sandbox.fault("sendMail", "accept_then_status")
    delivery = queued(large()) if heavy else writer.one()
    writer.work()
    old = Mailbox.objects.filter(pk=writer.mailbox.pk)
    probe = clock.now() + timedelta(hours=1)
    old.update(blocked=Reason.CONSENT_MISSING, blocked_text="no", blocked_since=clock.now(), probe_at=probe)
    writer.later(LATER)
    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.CONSENT_MISSING)

    sender = delivery.sender
    sender.mailbox = rows.mailbox("shared@contoso.test", fresh(writer.mailbox).registration, can_read=True)
    sender.save()
    assert registrations.follow_mailbox(sender) == 0
    old.update(probe_at=clock.now(), wake_at=clock.now())
    writer.work()

    assert (fresh(delivery).state, delivery.mailbox, delivery.copies) == (State.SENT, writer.mailbox, 0)
    assert [mail["mailbox"] for mail in writer.sandbox.deliveries()] == ["gateway@contoso.test"]
