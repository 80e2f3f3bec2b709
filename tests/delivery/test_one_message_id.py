"""One Message-ID in several submissions, in a tenant that drops or refuses the second."""

import email

import pytest

from mailrelay.models import ContentChunk, Delivery, Message, SenderConfig
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.operators import resend
from mailrelay.outbox.settling import own_message_ids
from mailrelay.vocabulary import Outcome, Reason, State, UncertainPolicy
from tests.delivery.office import count, fresh, log, timeline
from tests.harness.processes import mail, rows, send
from tests.large.conftest import writer  # noqa: F401 - a fixture

ANN, BOB, CAT = (f"{name}@example.org" for name in ("ann", "bob", "cat"))


def second_submissions(office, what: str) -> None:
    office.sandbox.world(behaviour={"second_submission": what})


def transactions(office, *people: str) -> list[Delivery]:
    """Queue one mail as a client does that hands it in once for each recipient."""
    first, *others = [office.one(to=(address,)) for address in people]
    for other in others:
        same_id(first, other)
    return [fresh(delivery) for delivery in (first, *others)]


def same_id(one: Delivery, other: Delivery) -> None:
    key, row = one.message.message_id, ContentChunk.objects.filter(content=other.message_id)
    row.update(data=bytes(row.get().data).replace(other.message.message_id.encode(), key.encode()))
    Message.objects.filter(pk=other.message_id).update(message_id=key, message_id_key=key)
    other.message.refresh_from_db()


def received(office) -> dict[str, email.message.Message]:
    """Give what each recipient got; one who got it twice is an error."""
    found: dict[str, email.message.Message] = {}
    for copy in office.sandbox.deliveries():
        for address in copy["recipients"]:
            assert address not in found
            found[address] = email.message_from_bytes(office.sandbox.raw(copy["seq"]))
    return found


def assert_told_apart(copies: dict[str, email.message.Message], first: str, message_id: str) -> None:
    """Each has an id of its own but the first, which the others refer to."""
    assert copies[first]["Message-ID"] == f"<{message_id}>"
    assert len({copy["Message-ID"] for copy in copies.values()}) == len(copies)
    for address, copy in copies.items():
        if address != first:
            assert f"<{message_id}>" in copy["References"]


# --- Refused ---------------------------------------------------------------------------------------------


def test_the_transactions_of_one_mail_all_arrive(office):
    second_submissions(office, "refuse")
    deliveries = transactions(office, ANN, BOB, CAT)

    office.work()

    assert [fresh(delivery).state for delivery in deliveries] == [State.SENT] * 3
    assert_told_apart(received(office), ANN, deliveries[0].message.message_id)
    assert "refers to its former one" in timeline(deliveries[1])
    assert [entry.outcome for entry in log(deliveries[1])] == [Outcome.TRANSIENT, Outcome.SENT]
    assert count(counters.SECOND_COPIES) == 0


@pytest.mark.parametrize("word", list(UncertainPolicy))
@pytest.mark.parametrize("first", [504, 500, 503])
def test_a_duplicate_after_an_attempt_in_doubt_was_sent_by_that_attempt(office, first, word):
    second_submissions(office, "refuse")
    office.sandbox.fault("sendMail", "accept_then_status", status=first)
    delivery = office.one()

    office.work()
    SenderConfig.objects.update(uncertain_policy=word)
    delivery.sender.refresh_from_db()
    Delivery.objects.update(copy_allowed=True)  # also where the policy would send nothing again
    for _ in range(3):
        office.later(601)

    assert fresh(delivery).state == State.SENT
    assert len(office.delivered()) == 1
    assert "no second copy was made" in timeline(delivery)


@pytest.mark.parametrize("status", [400, 403, 409, 500, 503])
@pytest.mark.parametrize("code", ["ErrorDuplicateDelivery", "UnknownError"])
def test_it_is_known_by_its_code_or_its_exception_whatever_the_status(office, status, code):
    message = "Cannot submit message., MapiExceptionDuplicateDelivery: Unable to submit message."
    office.sandbox.fault("sendMail", "status", status=status, code=code, message=message)
    delivery = office.one()

    office.work()

    assert fresh(delivery).state == State.SENT
    assert delivery.own_message_id
    assert len(office.requests()) == 2


def test_a_duplicate_after_throttling_was_sent_by_the_throttled_attempt(office):
    second_submissions(office, "refuse")
    office.sandbox.fault("sendMail", "accept_then_status", status=429, code="ApplicationThrottled")
    delivery = office.one()

    office.work()
    office.later(60)

    assert fresh(delivery).state == State.SENT
    assert len(office.delivered()) == 1


def test_the_duplicate_of_another_mail_proves_nothing(office):
    second_submissions(office, "refuse")
    office.sandbox.fault("sendMail", "status", status=504, skip=1)
    first, second = transactions(office, ANN, BOB)

    office.work()
    assert [fresh(first).state, fresh(second).state] == [State.SENT, State.UNCERTAIN]
    office.later(601)
    office.later(70)

    assert (fresh(second).state, second.copies) == (State.SENT, 1)
    assert_told_apart(received(office), ANN, first.message.message_id)


def test_a_second_refusal_under_an_id_of_its_own_is_for_a_person(office):
    office.sandbox.fault("sendMail", "status", status=400, code="ErrorDuplicateDelivery", times=None)
    delivery = office.one()

    office.work()

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert len(office.requests()) == 2


def test_what_a_person_has_sent_once_more_gets_through(office):
    second_submissions(office, "refuse")
    delivery = office.one()
    office.work()

    for seen in (1, 3):
        resend.resend(delivery.message_id, "ann", seen=seen)
        office.work()

    assert fresh(delivery).state == State.SENT
    assert len(set(office.delivered())) == 3


def test_an_id_of_its_own_is_looked_for_in_sent_items(writer):  # noqa: F811
    second_submissions(writer, "refuse")
    writer.sandbox.fault("sendMail", "accept_then_status", skip=2)
    first, second = transactions(writer, ANN, BOB)

    writer.work()
    assert fresh(second).state == State.UNCERTAIN
    assert second.own_message_id
    writer.later(601)

    assert (fresh(second).state, second.copies) == (State.SENT, 0)
    assert set(received(writer)) == {ANN, BOB}
    assert fresh(first).own_message_id == ""


# --- Dropped in silence: the sender's setting --------------------------------------------------------------


def test_a_tenant_that_drops_them_gets_ids_that_differ_where_the_sender_says_so(office):
    SenderConfig.objects.update(own_message_ids=True)
    second_submissions(office, "drop")
    deliveries = transactions(office, ANN, BOB, CAT)

    office.work()

    assert {fresh(delivery).state for delivery in deliveries} == {State.SENT}
    assert_told_apart(received(office), ANN, deliveries[0].message.message_id)
    assert len(office.requests()) == 3


def test_the_halves_of_a_refused_mail_are_told_apart_too(office):
    SenderConfig.objects.update(own_message_ids=True)
    office.sandbox.world(
        behaviour={"second_submission": "drop", "refused_recipients": [BOB], "refusal_text": ""}
    )
    delivery = office.one(to=(ANN, BOB, CAT))

    office.work()

    copies = received(office)
    assert set(copies) == {ANN, CAT}
    assert_told_apart(copies, ANN, delivery.message.message_id)


def test_an_id_stays_the_same_from_try_to_try(office):
    SenderConfig.objects.update(own_message_ids=True)
    office.sandbox.fault("sendMail", "status", status=409, code="ErrorIrresolvableConflict", skip=1, times=2)
    _, second = transactions(office, ANN, BOB)

    office.work()
    given = fresh(second).own_message_id
    for _ in range(3):
        office.later(100)

    assert given
    assert (fresh(second).state, second.own_message_id) == (State.SENT, given)
    assert received(office)[BOB]["Message-ID"] == f"<{given}>"


def test_a_mail_in_doubt_keeps_its_id(office):
    _, second = transactions(office, ANN, BOB)
    office.sandbox.fault("sendMail", "accept_then_status", times=2)
    office.work()
    office.later(2)
    assert [entry.outcome for entry in log(second)] == [Outcome.UNCERTAIN]
    SenderConfig.objects.update(own_message_ids=True)

    for _ in range(3):
        office.later(601)

    assert (fresh(second).state, second.own_message_id) == (State.SENT, "")


def test_nothing_changes_where_no_sender_says_so_and_exchange_takes_them(office):
    deliveries = transactions(office, ANN, BOB)

    office.work()

    assert office.delivered() == [f"<{deliveries[0].message.message_id}>"] * 2
    assert Delivery.objects.filter(own_message_id="").count() == 2


# --- Around it -------------------------------------------------------------------------------------------


def test_the_id_leads_back_to_its_message(office):
    delivery = office.one()
    own_message_ids.give(delivery, clock.now())

    assert own_message_ids.message_of(fresh(delivery).own_message_id) == delivery.message_id
    assert own_message_ids.message_of(delivery.message.message_id) is None
    assert delivery.sent_under.endswith("@contoso.test")


def test_references_that_were_there_stay(office):
    delivery = office.one()
    row = ContentChunk.objects.filter(content=delivery.message_id)
    row.update(data=bytes(row.get().data).replace(b"Subject:", b"References: <a@x>\r\n <b@x>\r\nSubject:"))
    Message.objects.filter(pk=delivery.message_id).update(size=len(row.get().data))
    own_message_ids.give(delivery, clock.now())

    office.work()

    (copy,) = received(office).values()
    assert copy["References"] == f"<a@x> <b@x> <{delivery.message.message_id}>"


def test_a_gateway_in_such_a_tenant_reaches_more_recipients_than_a_message_may_have(embedded):
    embedded.environment |= {"SENDER_OWN_MESSAGE_IDS": "true"}
    embedded.sandbox.world(behaviour={"second_submission": "drop"})
    listener = embedded.start()
    everybody = [f"person-{number}@example.org" for number in range(600)]

    send(listener.smtp_port, mail(1), everybody)

    embedded.wait_for(sent=2)
    reached = [address for copy in embedded.delivered() for address in copy["recipients"]]
    assert sorted(reached) == sorted(everybody)
    assert rows(embedded.environment, "SELECT own_message_ids FROM mailrelay_senderconfig") in (
        [(1,)],
        [(True,)],
    )
