"""One process takes no more memory than it may, whatever its broker hands it at once."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailrelay.delivery import memory_budget, pipeline, recording
from mailrelay.delivery.memory_budget import MemoryBudget, NoMemoryError
from mailrelay.vocabulary import State
from tests.delivery.office import fresh
from tests.harness.ports import eventually
from tests.harness.processes import as_sent, rows, send
from tests.large.mails import MEBIBYTE, another, with_files
from tests.large.test_memory import peak
from tests.outbox import rows as made

NEVER = threading.Event()
#: Bytes that all deliveries and the listener's look at each mail may add to an idle gateway.
MOST = 28 * MEBIBYTE


def test_what_finds_no_room_waits_until_another_is_done():
    shared, entered, leave = MemoryBudget(100), [], threading.Event()

    def work(name: str, amount: int) -> None:
        with shared.taken(amount, NEVER):
            entered.append(name)
            leave.wait(60)

    with ThreadPoolExecutor(3) as threads:
        try:
            first = threads.submit(work, "first", 60)
            eventually(lambda: entered == ["first"])
            threads.submit(work, "second", 60)
            eventually(lambda: len(shared._queue) == 1)
            assert entered == ["first"]
        finally:
            leave.set()
        first.result()

    assert entered == ["first", "second"]
    assert shared._free == 100


def test_what_is_small_does_not_overtake_what_has_waited_longer():
    shared, order, leave = MemoryBudget(100), [], threading.Event()

    def work(name: str, amount: int) -> None:
        with shared.taken(amount, NEVER):
            order.append(name)
            leave.wait(60)

    with ThreadPoolExecutor(3) as threads:
        try:
            threads.submit(work, "half", 50)
            eventually(lambda: order == ["half"])
            threads.submit(work, "all", 100)
            eventually(lambda: len(shared._queue) == 1)
            threads.submit(work, "little", 10)
            eventually(lambda: len(shared._queue) == 2)
            assert order == ["half"]
        finally:
            leave.set()

    assert order == ["half", "all", "little"]


def test_more_than_all_of_it_is_all_of_it_and_nothing_is_free():
    shared = MemoryBudget(100)

    with shared.taken(1000, NEVER):
        assert shared._free == 0
        with shared.taken(0, NEVER):
            pass

    assert shared._free == 100


def test_what_needs_less_than_it_took_makes_room_at_once():
    shared = MemoryBudget(100)

    with shared.taken(80, NEVER) as memory_share:
        memory_share.shrink(200)
        assert shared._free == 20
        memory_share.shrink(30)
        assert shared._free == 70

    assert shared._free == 100


def test_a_process_that_ends_waits_for_no_room():
    shared, ending = MemoryBudget(100), threading.Event()
    ending.set()

    with shared.taken(100, NEVER), pytest.raises(NoMemoryError), shared.taken(1, ending):
        pass

    assert (shared._free, len(shared._queue)) == (100, 0)


def test_a_fault_inside_gives_the_room_back():
    shared = MemoryBudget(100)

    with pytest.raises(ValueError, match="inside"), shared.taken(100, NEVER):
        raise ValueError("inside")

    assert shared._free == 100


def two_large(writer, queued):
    made.workers()  # as a second process that takes large mail
    first, second = (queued(with_files([4 * MEBIBYTE])) for _ in range(2))
    reservations = writer.reserve()
    assert len(reservations) == 2
    return first, second, reservations


def test_two_large_mails_in_one_process_go_one_after_the_other(writer, queued):
    first, second, reservations = two_large(writer, queued)

    with ThreadPoolExecutor(2) as threads:
        tasks = [threads.submit(pipeline.deliver, row.delivery_id, row.token) for row in reservations]
        for task in tasks:
            task.result()

    assert fresh(first).state == fresh(second).state == State.SENT
    steps = [line for kind in ("messages", "upload", "send") for line in writer.requests(kind)]
    whose = [line["client_request_id"] for line in sorted(steps, key=lambda line: line["seq"])]
    named = [name for name in whose if name]
    assert len(set(named)) == 2
    assert named == sorted(named, key=named.index)


def test_mail_that_waits_for_room_when_the_process_ends_goes_back_to_the_queue(writer, queued):
    first, second, reservations = two_large(writer, queued)
    recording.ending.set()
    try:
        with memory_budget.process_memory.taken(memory_budget.LARGE, NEVER):
            pipeline.deliver(reservations[0].delivery_id, reservations[0].token)
    finally:
        recording.ending.clear()

    assert writer.requests("messages") == []
    assert {fresh(row).state for row in (first, second)} <= {State.QUEUED, State.RESERVED}
    writer.later(31)

    assert fresh(first).state == fresh(second).state == State.SENT


@pytest.mark.slow
def test_a_process_that_is_handed_everything_at_once_stays_within_its_bound(able):
    """Three mails of 35 MB as for three workers, of which one is there, and eight that just fit a request."""
    able.environment |= {"SMTP_MAX_MESSAGE_SIZE": str(60 * MEBIBYTE), "SENDER_CONCURRENCY": "0"}
    able.sandbox.world(limits={"upload_bytes": 0, "concurrency": 0})
    able.sandbox.fault("sendMail", "latency", ms=500, times=None)  # so that they meet in memory
    listener = able.start()
    idle = peak(listener)
    _let_everything_come_here_at_once(able)
    whole = with_files([int(2.15 * MEBIBYTE)])
    large = as_sent(with_files([25 * MEBIBYTE]))

    for number in range(3):
        send(listener.smtp_port, another(large, number), timeout=110)
    for number in range(8):
        send(listener.smtp_port, another(as_sent(whole), number), timeout=110)
    able.wait_for(sent=11, timeout=110)

    assert peak(listener) - idle < MOST
    assert sorted(rows(able.environment, "SELECT route FROM mailrelay_sendlog")) == [
        *[("large",)] * 3,
        *[("mime",)] * 8,
    ]


def _let_everything_come_here_at_once(stack) -> None:
    """As if two more workers lived, whose mail the broker hands to this one, and no window held it back."""
    path = Path(stack.environment["DATA_DIR"]) / "gateway.sqlite3"
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        for name in ("elsewhere:1", "elsewhere:2"):
            connection.execute(
                "INSERT INTO mailrelay_worker (name, queues, capacity, started_at, seen_at) "
                "SELECT ?, queues, capacity, started_at, '2999-01-01 00:00:00' FROM mailrelay_worker LIMIT 1",
                (name,),
            )
        connection.execute("UPDATE mailrelay_mailbox SET upload_bytes_per_5_minutes = 0")
    connection.close()
