"""Brokers and databases that stop, forget, freeze and cut: mail is accepted as before, and delivered once."""

import smtplib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from uuid import UUID

import pytest

from mailrelay.delivery import pipeline
from mailrelay.outbox.db import counters
from mailrelay.vocabulary import State
from tests.delivery.office import count, fresh
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send
from tests.harness.stacks import Stack

#: A reservation whose task was lost is over after 30 s; generous for a slow machine.
RECLAIMED = 110
#: For what has several faults one after the other, each of which may take that long.
LONG = pytest.mark.timeout(900)
#: Seconds within which a reply is promised, whatever the broker does.
PROMISED_EACH = 10.0
#: Seconds between two mails of the load: what piles up while nothing is sent stays small.
BREATH = 0.05


def send_many(port: int, first: int, count: int) -> None:
    for number in range(first, first + count):
        send(port, mail(number))


class Load:
    """A client that sends one mail after the other, each until it has its 250; `number` is the next."""

    def __init__(self, port: int) -> None:
        self.number = 1
        self._port = port
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._sending = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sending.result()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._done.is_set():
            _send_until_accepted(self._port, self.number)
            self.number += 1
            self._done.wait(BREATH)


def assert_each_sent_once(stack: Stack, total: int) -> None:
    ids = [delivery["internet_message_id"] for delivery in stack.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(total))


def assert_each_sent(stack: Stack, total: int) -> None:
    """Sent all, and twice only what was uncertain."""
    ids = [delivery["internet_message_id"] for delivery in stack.delivered()]
    assert set(ids) == {f"<test-{number}@app.test>" for number in range(total)}
    ((copies,),) = rows(stack.environment, "SELECT SUM(copies) FROM mailrelay_delivery")
    assert len(ids) - total <= copies


@pytest.fixture
def running(stack_of_choice: Stack):
    """A relay and a worker that have delivered one mail."""
    stack_of_choice.environment |= {"UNCERTAIN_DELAY": "1", "LEASE_SECONDS": "6"}
    listener = stack_of_choice.start()
    send(listener.smtp_port, mail(0))
    stack_of_choice.wait_for(sent=1)
    return stack_of_choice, listener.smtp_port


@pytest.fixture
def stack_of_choice(request):
    return request.getfixturevalue(request.param)


on_redis = pytest.mark.parametrize("stack_of_choice", ["on_redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize("stack_of_choice", ["on_rabbitmq"], indirect=True)


@LONG
@on_redis
def test_redis_that_stops_forgets_and_comes_back(running):
    stack, port = running
    stack.broker.end()
    send_many(port, 1, 20)
    assert sum(stack.states().values()) == 21

    stack.broker.start()
    stack.wait_for(RECLAIMED, sent=21)
    stack.broker.flush()
    send_many(port, 21, 20)

    stack.wait_for(RECLAIMED, sent=41)
    assert_each_sent_once(stack, 41)


@LONG
@on_rabbitmq
def test_rabbitmq_that_freezes_and_restarts(running):
    stack, port = running
    stack.broker.pause()
    try:
        send_many(port, 1, 10)
        assert sum(stack.states().values()) == 11
    finally:
        stack.broker.resume()
    stack.wait_for(RECLAIMED, sent=11)

    stack.broker.end()
    send_many(port, 11, 10)
    stack.broker.start()

    stack.wait_for(RECLAIMED, sent=21)
    assert_each_sent_once(stack, 21)


@LONG
@on_rabbitmq
def test_rabbitmq_that_takes_nothing_for_want_of_memory_delays_no_reply(running):
    stack, port = running
    stack.broker.alarm(on=True)
    try:
        before = time.monotonic()
        send_many(port, 1, 10)
        assert time.monotonic() - before < PROMISED_EACH * 10
        assert sum(stack.states().values()) == 11
        assert set(stack.states()) <= {"queued", "reserved", "sent"}
    finally:
        stack.broker.alarm(on=False)

    stack.wait_for(RECLAIMED, sent=11)
    assert_each_sent_once(stack, 11)


@LONG
@on_redis
def test_redis_that_freezes_under_load_delays_no_reply_and_loses_nothing(running):
    stack, port = running
    with Load(port) as load:
        _after(stack, 10)
        stack.broker.pause()
        try:
            taken = load.number
            eventually(lambda: load.number >= taken + 20, RECLAIMED, "mail being taken while Redis is frozen")
        finally:
            stack.broker.resume()
        _after(stack, 10)

    eventually(lambda: _settled(stack), 2 * RECLAIMED, "all being sent")
    assert_each_sent(stack, load.number)


@LONG
@on_redis
def test_a_database_that_freezes_restarts_and_cuts_its_connections_under_load(running, postgresql):
    stack, port = running
    with Load(port) as load:
        try:
            _after(stack, 10)
            postgresql.pause()
            time.sleep(5)  # the fault's own length, not a wait for anything
            postgresql.resume()
            _after(stack, 10)
            _cut(postgresql)
            _after(stack, 10)
            postgresql.end()
            postgresql.start()
            _after(stack, 10)
        finally:
            postgresql.resume()

    eventually(lambda: _settled(stack), 2 * RECLAIMED, "all being sent, or held after a second copy")
    assert_each_sent(stack, load.number)


def _settled(stack: Stack) -> bool:
    """Whether nothing is under way; what was uncertain twice is held by the sender's policy, alone."""
    found = rows(stack.environment, "SELECT DISTINCT state, reason, copies FROM mailrelay_delivery")
    return all(
        state == "sent" or (state, reason, copies) == ("held", "uncertain", 1)
        for state, reason, copies in found
    )


def _send_until_accepted(port: int, number: int) -> None:
    """Send as a client that tries again: 4xx and broken connections are tried again, 5xx is an error."""

    def accepted() -> bool:
        try:
            send(port, mail(number))
        except smtplib.SMTPResponseException as refusal:
            if refusal.smtp_code >= 500:
                raise
        except (smtplib.SMTPException, AssertionError, OSError):
            return False
        else:
            return True
        return False

    eventually(accepted, RECLAIMED, f"mail {number} being accepted")


def _after(stack: Stack, more: int) -> None:
    """Wait until `more` mails were delivered than are now."""
    number = len(stack.delivered())
    eventually(lambda: len(stack.delivered()) >= number + more, RECLAIMED, f"{more} more mails")


def _cut(postgresql) -> None:
    import psycopg

    with psycopg.connect(postgresql.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'graph-mail-gateway'"
        )


def test_a_task_that_comes_ten_times_is_one_request(office):
    delivery = office.one()
    (reservation,) = office.reserve()
    office.sandbox.fault("sendMail", "latency", ms=300)

    with ThreadPoolExecutor(10) as hands:
        tasks = [hands.submit(pipeline.deliver, delivery.pk, reservation.token) for _ in range(10)]
        for task in tasks:
            task.result()

    assert fresh(delivery).state == State.SENT
    assert len(office.requests()) == 1
    assert count(counters.CLAIM_CONFLICTS) == 9


def test_a_task_that_the_broker_lost_is_made_anew_when_its_reservation_is_over(office):
    deliveries = office.queue(4)
    lost = office.reserve()
    assert len(lost) == 4

    office.later(20)
    assert office.states() == [State.RESERVED] * 4
    office.later(11)

    assert office.states() == [State.SENT] * 4
    assert {fresh(row).crashes for row in deliveries} == {0}
    pipeline.deliver(lost[0].delivery_id, lost[0].token)  # a broker that kept it after all
    assert len(office.requests()) == 4


def test_a_task_of_another_reservation_is_nobodys(office):
    delivery = office.one()
    office.reserve()

    pipeline.deliver(delivery.pk, UUID(int=7))

    assert fresh(delivery).state == State.RESERVED
    assert office.requests() == []


@pytest.mark.parametrize("step", ["plan", "begin"])
def test_a_database_that_is_away_before_the_request_is_not_the_messages_fault(office, monkeypatch, step):
    from django.db import OperationalError

    from mailrelay.outbox.claiming import leases
    from mailrelay.outbox.errors import OutboxError

    where, error = {"plan": (pipeline, OperationalError), "begin": (leases, OutboxError)}[step]
    right = getattr(where, step)

    def away(*_, **__):
        monkeypatch.setattr(where, step, right)
        raise error("the connection is gone")

    monkeypatch.setattr(where, step, away)
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.crashes, delivery.attempts, delivery.copies) == (State.SENT, 0, 0, 0)
    assert len(office.requests()) == 1
