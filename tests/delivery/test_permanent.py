"""What Graph refuses for good fails at once with its code and a sentence; one bad recipient fails alone."""

import pytest

from mailrelay.models import Delivery, Recipient
from mailrelay.outbox.db import counters
from mailrelay.outbox.settling import split
from mailrelay.vocabulary import Outcome, Reason, State
from tests.delivery.office import count, fresh, log, timeline
from tests.harness.processes import mail, rows, send

ANN, BOB, CAT = "ann@example.org", "Bob@example.org", "cat@example.org"
REFUSALS = [
    (400, "ErrorInvalidRecipients", Reason.REJECTED, "recipient"),
    (400, "ErrorMimeContentInvalid", Reason.REJECTED, "MIME"),
    (400, "ErrorMessageSizeExceeded", Reason.TOO_LARGE, "larger"),
    (403, "ErrorSendAsDenied", Reason.REJECTED, "From"),
    (500, "ErrorVirusDetected", Reason.REJECTED, "virus"),
]


def unresolved(address: str) -> dict:
    message = f'At least one recipient is not valid., Recipient "{address}" isn\'t resolved.'
    return {"status": 400, "code": "ErrorInvalidRecipients", "message": message}


def recipients(delivery: Delivery) -> list[str]:
    found = Recipient.objects.filter(delivery=delivery).order_by("pk")
    return list(found.values_list("address", flat=True))


@pytest.mark.parametrize(("status", "code", "reason", "word"), REFUSALS, ids=[row[1] for row in REFUSALS])
def test_a_refusal_fails_the_mail_at_once(office, status, code, reason, word):
    office.sandbox.fault("sendMail", "status", status=status, code=code)
    delivery, other = office.one(), office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, reason)
    assert word in delivery.last_error
    (attempt,) = log(delivery)
    assert (attempt.http_status, attempt.graph_code, attempt.outcome) == (status, code, Outcome.PERMANENT)
    assert fresh(other).state == State.SENT
    office.later(86_400)
    assert len(office.requests()) == 2
    assert count(counters.FAILED) == 1


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_mail_over_the_limit_of_its_mailbox_fails_whatever_stands_around_the_exception(office, status):
    message = "Cannot submit message., MapiExceptionMaxSubmissionExceeded: Unable to submit message."
    office.sandbox.fault(
        "sendMail", "status", status=status, code="ErrorInternalServerError", message=message
    )
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TOO_LARGE)
    assert len(office.requests()) == 1


def test_one_recipient_that_graph_names_fails_alone(office):
    office.sandbox.fault("sendMail", "status", **unresolved(BOB.lower()))
    delivery = office.one(to=(ANN, BOB, CAT))

    office.work()

    rest, apart = Delivery.objects.order_by("pk")
    assert rest.pk == delivery.pk
    assert (rest.state, recipients(rest), rest.recipient_count) == (State.SENT, [ANN, CAT], 2)
    assert (apart.state, recipients(apart), apart.recipient_count) == (State.FAILED, [BOB], 1)
    assert (apart.reason, apart.token) == (Reason.REJECTED, None)
    assert "isn't resolved" in apart.last_error
    (copy,) = office.sandbox.deliveries()
    assert sorted(copy["recipients"]) == [ANN, CAT]
    assert BOB not in office.sandbox.raw(copy["seq"]).decode()
    assert f"without {BOB}" in timeline(rest)
    assert fresh(delivery.message).state == State.FAILED


def test_recipients_that_graph_names_one_after_the_other_fail_one_after_the_other(office):
    for address in (BOB, CAT):
        office.sandbox.fault("sendMail", "status", **unresolved(address))
    office.one(to=(ANN, BOB, CAT))

    office.work()

    assert office.states() == [State.SENT, State.FAILED, State.FAILED]
    (copy,) = office.sandbox.deliveries()
    assert copy["recipients"] == [ANN]
    assert len(office.requests()) == 3


@pytest.mark.parametrize("named", [ANN, "nobody@example.org"])
def test_the_mail_fails_whole_when_nobody_is_left_or_the_named_one_is_a_stranger(office, named):
    office.sandbox.fault("sendMail", "status", **unresolved(named))
    delivery = office.one(to=(ANN,))

    office.work()

    assert fresh(delivery).state == State.FAILED
    assert Delivery.objects.count() == 1


def test_a_split_moves_nobody_who_is_not_of_the_delivery(office):
    delivery = office.one(to=(ANN, BOB))

    assert not split.part(delivery, ["nobody@example.org"], "refused", delivery.created_at)
    assert not split.part(delivery, [], "refused", delivery.created_at)
    assert not split.part(delivery, [ANN, BOB], "refused", delivery.created_at)

    assert recipients(delivery) == [ANN, BOB]
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("point", ["settle.before", "settle.after"])
def test_a_kill_amid_the_split_fails_and_sends_each_once(embedded, point):
    embedded.environment |= {"UNCERTAIN_DELAY": "1"}
    embedded.sandbox.fault(
        "sendMail", "status", times=2 if point == "settle.before" else 1, **unresolved(BOB)
    )
    listener = embedded.listener().start(FAILPOINT=point)
    try:
        send(listener.smtp_port, mail(1), [ANN, BOB, CAT])
    finally:
        listener.wait_until_killed()

    listener.start()
    embedded.wait_for(sent=1, failed=1)

    (copy,) = embedded.delivered()
    assert sorted(copy["recipients"]) == [ANN, CAT]
    failed = rows(
        embedded.environment,
        "SELECT r.address FROM mailrelay_recipient r JOIN mailrelay_delivery d ON d.id = r.delivery_id "
        "WHERE d.state = 'failed'",
    )
    assert failed == [(BOB,)]


def test_more_recipients_than_a_message_may_have_go_in_several(embedded):
    listener = embedded.start()
    everybody = [f"person-{number}@example.org" for number in range(501)]

    send(listener.smtp_port, mail(1), everybody)

    embedded.wait_for(sent=2)
    parts = [delivery["recipients"] for delivery in embedded.delivered()]
    assert sorted(len(part) for part in parts) == [1, 500]
    assert sorted(address for part in parts for address in part) == sorted(everybody)
