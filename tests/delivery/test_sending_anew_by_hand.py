"""Mail that a person gives to another sender or forwards: its mailbox, and what may be a second copy."""

from uuid import uuid4

import pytest

from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.operators import resend
from mailrelay.vocabulary import FromPolicy, Reason, State, UncertainPolicy
from tests.delivery.office import CONFLICT, fresh, log, timeline

SHARED = "shared@contoso.test"
HOME = "gateway@contoso.test"


def written_by(delivery, author: str) -> None:
    """Let the From of a queued mail be `author`."""
    row = ContentChunk.objects.filter(content=delivery.message_id)
    data = bytes(row.get().data).replace(b"app@contoso.test", author.encode())
    row.update(data=data)
    told = {"header_from": author, "from_key": author.lower(), "size": len(data)}
    Message.objects.filter(pk=delivery.message_id).update(**told)
    delivery.message.refresh_from_db()


def sender_of(box: Mailbox) -> SenderConfig:
    return SenderConfig.objects.get(mailbox=box)


def boxes_used(office) -> list[str]:
    return [mail["mailbox"] for mail in office.sandbox.deliveries()]


def forwarded(office, delivery) -> Delivery:
    new_id = resend.forward_id(uuid4(), delivery.message_id, "boss@example.org")
    resend.forward(Message.objects.get(pk=delivery.message_id), "ann", "carl@example.org", new_id)
    office.work()
    return Delivery.objects.get(message_id=new_id)


def test_a_forward_goes_through_the_mailbox_of_its_own_from(office):
    SenderConfig.objects.update(from_policy=FromPolicy.OWN_MAILBOX, domains="contoso.test")
    delivery = office.one()
    written_by(delivery, "Shared@contoso.test")
    box = Mailbox.objects.create(registration=office.registration, address=SHARED, messages_per_minute=0)
    Delivery.objects.update(mailbox=box)
    Mailbox.objects.update(wake_at=clock.now())
    office.work()
    assert fresh(delivery).state == State.SENT

    made = forwarded(office, delivery)

    assert (made.state, made.mailbox) == (State.SENT, box)
    assert boxes_used(office) == [SHARED, SHARED]


def test_a_forward_of_another_policy_goes_through_the_senders_mailbox(office):
    delivery = office.one()
    written_by(delivery, SHARED)
    office.work()

    assert forwarded(office, delivery).mailbox == office.mailbox


@pytest.mark.parametrize(("author", "through"), [(SHARED, SHARED), ("app@elsewhere.test", HOME)])
def test_mail_given_to_a_sender_of_own_mailboxes_goes_through_that_of_its_from(office, author, through):
    other = office.box("alerts@contoso.test")
    delivery = office.one(box=other, state=State.FAILED)
    written_by(delivery, author)
    own = sender_of(office.mailbox)
    SenderConfig.objects.filter(pk=own.pk).update(from_policy=FromPolicy.OWN_MAILBOX, domains="contoso.test")

    assert resend.change_sender(delivery.message_id, "ann", fresh(own)) == 1

    assert fresh(delivery).mailbox.address == through
    assert Mailbox.objects.get(address=through).wake_at is not None
    assert through in timeline(delivery)


def held_in_doubt(office) -> Delivery:
    """Make mail that Graph took without saying so, held for a person."""
    SenderConfig.objects.update(uncertain_policy=UncertainPolicy.HOLD)
    office.sandbox.fault("sendMail", "accept_then_status")
    delivery = office.one()
    office.work()
    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    return delivery


def test_mail_in_doubt_that_a_person_gives_to_another_sender_is_sent_by_that(office):
    delivery = held_in_doubt(office)
    other = office.box(SHARED, uncertain_policy=UncertainPolicy.HOLD)

    resend.change_sender(delivery.message_id, "ann", sender_of(other))
    assert "second copy" in timeline(delivery)
    office.work()

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 1)
    assert boxes_used(office) == [HOME, SHARED]


def test_its_draft_is_not_looked_for_in_a_mailbox_that_does_not_have_it(office):
    delivery = held_in_doubt(office)
    delivery.log.update(draft_id="AAMk", draft_complete=True)
    other = office.box(SHARED)

    resend.change_sender(delivery.message_id, "ann", sender_of(other))
    office.work()

    assert fresh(delivery).state == State.SENT
    assert f"A draft of it may lie in the mailbox {HOME}" in timeline(delivery)
    assert office.requests("messages") == []


def test_mail_that_certainly_was_not_sent_is_no_second_copy_at_another_sender(office):
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    delivery = office.one()
    office.work()
    other = office.box(SHARED)

    resend.change_sender(delivery.message_id, "ann", sender_of(other))
    office.work()

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 0)
    assert "second copy" not in timeline(delivery)
    assert len(log(delivery)) == 2
