"""A recipient that Graph refuses takes nobody along, whatever Graph calls it, and where it names nobody."""

from collections import Counter

import pytest

from mailrelay.models import Delivery, Mailbox, Recipient, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.rules import limits
from mailrelay.outbox.settling.split import MOST_ALONE
from mailrelay.vocabulary import Reason, State
from tests.delivery.office import fresh, timeline
from tests.harness.processes import mail, rows, send
from tests.outbox.rows import give

ANN, BOB, CAT, DAN = (f"{name}@example.org" for name in ("ann", "Bob", "cat", "dan"))
NAMING = {
    "double quotes": 'Recipient "{address}" isn\'t resolved.',
    "single quotes": "Recipient '{address}' is not resolved.",
    "both": 'Recipient "{address}" is not resolved.',
    "blanks": "Recipient ' {address} ' is not resolved.",
    "display name": 'Recipient "{name}" isn\'t resolved.',
    "name and address": "Recipient '{name} <{address}>' is not resolved.",
    "no quotes": "Recipient {address} is not resolved.",
}
NOT_NAMING = {
    "nobody": "",
    "an empty name": 'Recipient "" isn\'t resolved.',
    "a stranger": 'Recipient "somebody@else.test" isn\'t resolved.',
    "two at once": 'Recipient "The team" isn\'t resolved.',
}
HEADER = (
    "From: app@contoso.test\r\nTo: {to}\r\nSubject: mail\r\nMessage-ID: <{id}>\r\n"
    'Cc: "The team" <cat@example.org>, The Team <dan@example.org>\r\n\r\nbody\r\n'
)


def refuse(office, *addresses: str, text: str = "") -> None:
    office.sandbox.world(behaviour={"refused_recipients": list(addresses), "refusal_text": text})


def people(count: int) -> list[str]:
    return [f"person-{number}@example.org" for number in range(count)]


def copies(office) -> Counter:
    return Counter(address for copy in office.sandbox.deliveries() for address in copy["recipients"])


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "delivery__state"))


@pytest.fixture
def delivery(office):
    """A mail to four, of whom the header calls Bob by a name of his own and two by the same."""
    delivery = office.one(to=(ANN, BOB, CAT, DAN))
    header = HEADER.format(to=f'{ANN}, "Bob B." <{BOB}>', id=delivery.message.message_id)
    give(delivery, header.encode())
    return delivery


@pytest.mark.parametrize("text", NAMING.values(), ids=NAMING.keys())
def test_whoever_is_named_fails_at_once_and_alone(office, delivery, text):
    refuse(office, BOB, text=text)

    office.work()

    assert states() == {ANN: State.SENT, BOB: State.FAILED, CAT: State.SENT, DAN: State.SENT}
    assert copies(office) == {ANN: 1, CAT: 1, DAN: 1}
    assert len(office.requests()) == 2
    assert "which Graph refused" in timeline(delivery)


@pytest.mark.parametrize("text", NOT_NAMING.values(), ids=NOT_NAMING.keys())
def test_where_nobody_is_named_halves_are_tried_until_the_refused_one_is_alone(office, delivery, text):
    refuse(office, BOB, text=text)

    office.work()

    assert states() == {ANN: State.SENT, BOB: State.FAILED, CAT: State.SENT, DAN: State.SENT}
    assert copies(office) == {ANN: 1, CAT: 1, DAN: 1}
    assert len(office.requests()) == 5
    assert "tried in two halves" in timeline(delivery)
    failed = Delivery.objects.get(state=State.FAILED)
    assert (failed.reason, failed.recipient_count) == (Reason.REJECTED, 1)


@pytest.mark.parametrize("display", [CAT, CAT.upper(), f" {CAT} "])
def test_an_address_that_is_the_name_of_another_is_not_taken_for_the_refused_one(office, display):
    delivery = office.one(to=(ANN, BOB, CAT, DAN))
    header = HEADER.format(to=f'{ANN}, "{display}" <{BOB}>', id=delivery.message.message_id)
    give(delivery, header.encode())
    refuse(office, BOB, text='Recipient "{name}" isn\'t resolved.')

    office.work()

    assert states() == {ANN: State.SENT, BOB: State.FAILED, CAT: State.SENT, DAN: State.SENT}
    assert copies(office) == {ANN: 1, CAT: 1, DAN: 1}


def test_several_refused_ones_among_many_take_nobody_along(office):
    refuse(office, *people(40)[7:39:10])
    office.one(to=people(40))

    office.work(turns=200)

    failed = {address for address, state in states().items() if state == State.FAILED}
    assert failed == set(people(40)[7:39:10])
    assert copies(office) == dict.fromkeys(set(people(40)) - failed, 1)
    assert sum(Delivery.objects.values_list("recipient_count", flat=True)) == 40


def test_recipients_of_refused_requests_do_not_count_for_the_day(office):
    refuse(office, *people(20)[3:5])
    office.one(to=people(20))

    office.work(turns=100)

    assert limits.recipients_today(fresh(office.mailbox), clock.now()) == 18


def test_halves_take_their_turn_within_the_limits(office):
    Mailbox.objects.update(messages_per_minute=2)
    refuse(office, BOB)
    office.one(to=(ANN, BOB, CAT, DAN))

    office.work()
    assert len(office.requests()) == 2
    office.later(31)
    assert len(office.requests()) == 3
    office.later(61)

    assert len(office.requests()) == 5
    assert copies(office) == {ANN: 1, CAT: 1, DAN: 1}


def test_a_refusal_of_everybody_ends_after_some_were_tried_alone(office):
    everybody = people(200)
    refuse(office, *everybody)
    office.one(to=everybody)

    office.work(turns=500)

    assert set(states().values()) == {State.FAILED}
    assert copies(office) == {}
    alone = Delivery.objects.filter(recipient_count=1).count()
    assert MOST_ALONE <= alone < 100
    assert len(office.requests()) < len(everybody)


def test_one_recipient_alone_fails_whoever_is_named(office):
    refuse(office, ANN)
    office.one(to=(ANN,))

    office.work()

    assert office.states() == [State.FAILED]
    assert len(office.requests()) == 1


def test_a_mail_that_is_redirected_is_not_tried_in_halves(office):
    SenderConfig.objects.update(redirect_all_to="staging@example.org")
    refuse(office, "staging@example.org")
    office.one(to=(ANN, BOB))

    office.work()

    assert office.states() == [State.FAILED]
    assert len(office.requests()) == 1


def test_a_message_in_which_graph_finds_no_recipient_fails_whole(office):
    message = (
        "At least one recipient is not valid., A message can't be sent because it contains no recipients."
    )
    office.sandbox.fault("sendMail", "status", status=400, code="ErrorInvalidRecipients", message=message)
    office.one(to=(ANN, BOB))

    office.work()

    assert office.states() == [State.FAILED]
    assert len(office.requests()) == 1


@pytest.mark.parametrize("point", ["settle.before", "settle.after"])
def test_a_kill_amid_the_halving_fails_and_sends_each_once(embedded, point):
    embedded.environment |= {"UNCERTAIN_DELAY": "1"}
    embedded.sandbox.world(behaviour={"refused_recipients": [BOB], "refusal_text": ""})
    listener = embedded.listener().start(FAILPOINT=point)
    try:
        send(listener.smtp_port, mail(1), [ANN, BOB, CAT])
    finally:
        listener.wait_until_killed()

    listener.start()
    embedded.wait_for(sent=2, failed=1)

    assert Counter(a for copy in embedded.delivered() for a in copy["recipients"]) == {ANN: 1, CAT: 1}
    failed = rows(
        embedded.environment,
        "SELECT r.address FROM mailrelay_recipient r JOIN mailrelay_delivery d ON d.id = r.delivery_id "
        "WHERE d.state = 'failed'",
    )
    assert failed == [(BOB,)]
