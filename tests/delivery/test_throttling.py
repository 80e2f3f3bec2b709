"""429: the mailbox waits as long as Microsoft says, alone; nothing is lost, no mail is blamed."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import clock
from mailrelay.outbox.holding import blame
from mailrelay.vocabulary import State
from tests.delivery.office import fresh, log, timeline
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send


def pause_of(box) -> float:
    """Return the seconds until the mailbox's pause ends."""
    return (fresh(box).paused_until - clock.now()).total_seconds()


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [("7", 5, 7), ("2.128", 1, 2.2), ("3600", 3590, 3600), ("0", 0, 2), (None, 0, 2)],
)
def test_the_mailbox_waits_as_long_as_retry_after_says(office, retry_after, least, most):
    office.sandbox.fault("sendMail", "status", status=429, retry_after=retry_after)
    delivery = office.one()

    office.work()

    assert least <= pause_of(office.mailbox) <= most
    fresh(delivery)
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == (State.QUEUED, 0, None)
    office.later(most + 0.5)
    assert fresh(delivery).state == State.SENT
    assert len(office.requests()) == 2
    assert len(office.delivered()) == 1


def test_it_keeps_a_retry_after_that_is_a_date(office):
    until = clock.now() + timedelta(seconds=120)
    office.sandbox.fault("sendMail", "status", status=429, retry_after=format_datetime(until, usegmt=True))
    delivery = office.one()

    office.work()

    assert 100 < pause_of(office.mailbox) <= 121
    office.later(122)
    assert fresh(delivery).state == State.SENT


def test_no_request_goes_to_a_paused_mailbox_and_the_others_flow(office):
    other = office.box("shared@contoso.test")
    office.sandbox.fault("sendMail", "throttled", mailbox="gateway@contoso.test", retry_after="3600")
    office.queue(20)
    office.work()
    asked = len(office.requests(box=office.mailbox))
    assert asked == 1

    flowing = office.queue(10, other)
    for _ in range(5):
        office.later(700)

    assert {fresh(row).state for row in flowing} == {State.SENT}
    assert len(office.requests(box=office.mailbox)) == asked
    office.later(200)
    assert office.states() == [State.SENT] * 30
    assert len(set(office.delivered())) == len(office.delivered()) == 30


def test_what_was_reserved_before_the_pause_goes_back_instead_of_being_sent(office):
    office.sandbox.fault("sendMail", "throttled", retry_after="60")
    deliveries = office.queue(4)

    office.work()

    assert len(office.requests()) == 1
    assert [len(log(row)) for row in deliveries] == [1, 0, 0, 0]
    assert office.states() == [State.QUEUED] * 4
    office.later(61)
    assert office.states() == [State.SENT] * 4


def test_a_lease_whose_mailbox_was_paused_does_not_begin(office):
    delivery = office.one()
    (reservation,) = office.reserve()
    taken = leases.take(reservation.delivery_id, reservation.token)
    blame.pause(fresh(office.mailbox), "asked", clock.now(), 60.0)

    with pytest.raises(leases.LeaseLostError):
        leases.begin(taken, 100)

    assert fresh(delivery).state == State.QUEUED
    assert log(delivery) == []


def test_a_202_with_retry_after_is_sent_once_and_pauses_the_mailbox(office):
    office.sandbox.fault("sendMail", "accept_with_retry_after", retry_after="90")
    first, second = office.one(), office.one()

    office.work()

    assert fresh(first).state == State.SENT
    assert fresh(second).state == State.QUEUED
    assert 80 < pause_of(office.mailbox) <= 90
    assert len(office.requests()) == 1
    office.later(91)
    assert fresh(second).state == State.SENT
    assert len(office.delivered()) == 2


def test_pauses_without_retry_after_grow_until_a_success(office):
    office.sandbox.fault("sendMail", "status", status=429, times=5)
    delivery = office.one()
    office.work()
    pauses = [pause_of(office.mailbox)]

    for _ in range(4):
        office.later(pauses[-1] + 0.1)
        pauses.append(pause_of(office.mailbox))

    assert all(later > earlier for earlier, later in pairwise(pauses))
    office.later(60)
    assert fresh(delivery).state == State.SENT
    assert fresh(office.mailbox).failures == 0
    assert timeline(delivery) == ""


def test_answers_of_one_moment_lengthen_the_pause_once(office):
    box = office.mailbox
    for _ in range(4):
        blame.pause(box, "asked", clock.now(), None)

    assert box.failures == 1
    assert pause_of(box) <= blame.FIRST_PAUSE * 1.2


@pytest.mark.parametrize("kind", ["status", "accept_with_retry_after"])
def test_a_pause_of_thousands_of_years_is_one_day_and_the_mailbox_says_so(office, kind):
    office.sandbox.fault("sendMail", kind, status=429, retry_after="Fri, 31 Dec 9999 23:59:59 GMT")
    office.one()

    office.work()

    assert 86_390 < pause_of(office.mailbox) <= 86_400
    assert "years (Retry-After); the gateway asks again after one day." in office.mailbox.pause_text


def resumes_at(stack) -> float:
    """Return when what was asked to wait may go on, in unix seconds; 0 where nothing was."""
    columns = "SELECT box.paused_until, app.retry_at FROM mailrelay_mailbox box"
    query = f"{columns} JOIN mailrelay_appregistration app ON app.id = box.registration_id"
    (paused, retry_at), *_ = rows(stack.environment, query)
    moment = paused or retry_at
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return moment.timestamp() if moment else 0.0


def killed_and_started_again(stack) -> None:
    """End every process without a word, and start them all once more."""
    listener, worker = stack.listener(), None if stack.embedded else stack.worker()
    started = [process for process in (listener, worker) if process]
    stack.migrate()
    for _ in range(2):
        for process in started:
            process.kill()
            process.start()
        yield listener


@pytest.mark.parametrize(
    ("where", "status"), [("sendMail", 429), ("sendMail", 503), ("token", 429)], ids=["429", "503", "token"]
)
@pytest.mark.parametrize("installation", ["embedded", "on_redis"])
@pytest.mark.timeout(300)
def test_an_hour_that_microsoft_asks_for_outlasts_kill_and_restart(request, installation, where, status):
    stack = request.getfixturevalue(installation)
    lives = killed_and_started_again(stack)
    stack.sandbox.fault(
        where, "status", status=status, retry_after="3600", times=1 if where == "sendMail" else 2
    )
    send(next(lives).smtp_port, mail(1))
    eventually(lambda: resumes_at(stack), 60, "the pause")
    stack.wait_for(queued=1)  # a kill before that is on record leaves it unconfirmed
    before, asked = resumes_at(stack), requests_of(stack, where)
    assert 3500 < before - time.time() <= 3600

    send(next(lives).smtp_port, mail(2))
    time.sleep(20)  # the sweep and the keeper of tokens have looked, and nothing announces that they waited

    assert stack.states() == {"queued": 2}
    assert resumes_at(stack) == before
    assert requests_of(stack, where) == asked


def requests_of(stack, kind: str) -> int:
    return len([line for line in stack.sandbox.ledger() if line["kind"] == kind])


@pytest.mark.timeout(300)
def test_a_pause_that_outlasts_a_kill_ends_when_it_was_to_end(embedded):
    lives = killed_and_started_again(embedded)
    embedded.sandbox.fault("sendMail", "throttled", retry_after="40")
    send(next(lives).smtp_port, mail(1))
    eventually(lambda: requests_of(embedded, "sendMail"), 60, "the first request")
    eventually(
        lambda: rows(embedded.environment, "SELECT paused_until FROM mailrelay_mailbox")[0][0], 20, "it"
    )
    until = resumes_at(embedded)

    next(lives)
    embedded.wait_for(90, sent=1)

    assert until <= time.time() < until + 15
    # Throttled; asked without mail whether that is over; sent.
    assert requests_of(embedded, "sendMail") == 3


def test_throttling_under_load_loses_and_doubles_nothing(embedded):
    listener = embedded.start()
    for _ in range(5):
        embedded.sandbox.fault("sendMail", "status", status=429, retry_after="1", skip=7)
    for number in range(60):
        send(listener.smtp_port, mail(number))

    embedded.wait_for(sent=60)

    ids = [delivery["internet_message_id"] for delivery in embedded.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(60))
    assert rows(embedded.environment, "SELECT MAX(attempts), MAX(copies) FROM mailrelay_delivery") == [(0, 0)]
    eventually(lambda: not embedded.sandbox.faults(), what="every fault being used")
