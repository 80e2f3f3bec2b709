"""A process whose loop stands still says so to its probe, and is given no more work."""

import asyncio
import json
import sys
import threading
from types import SimpleNamespace

import pytest
from kombu.asynchronous import Hub

from mailrelay.health import pulse, serving
from mailrelay.models import Worker
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.errors import StorageFullError
from mailrelay.outbox.scheduling.scheduler import Scheduler
from mailrelay.processes import loop_signs
from mailrelay.processes.delivering import DeliveryServices
from tests.harness.ports import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(pulse, "INTERVAL", 0.05)
    monkeypatch.setattr(pulse, "STANDSTILL", 1.0)
    yield
    for loop in pulse.LOOPS:
        loop.rest()


def probe() -> tuple[str, str]:
    """Ask /health as the server does; return its status line and what it says."""
    answer = serving.PROBES["/health"]()
    return f"{answer.status.value} {answer.status.phrase}", json.loads(answer.body)["status"]


def test_celerys_loop_is_missed_while_something_in_it_does_not_end():
    hub, held, ended = Hub(), threading.Event(), threading.Event()
    step = loop_signs.CeleryLoopSigns(SimpleNamespace())

    def turn():
        step.start(SimpleNamespace(hub=hub))
        while not ended.is_set():
            hub.fire_timers()
            ended.wait(0.01)

    turning = threading.Thread(target=turn)
    turning.start()
    eventually(lambda: pulse.celery_loop.age() is not None)
    assert probe() == ("200 OK", "ok")
    hub.call_later(0, held.wait)
    status, said = eventually(lambda: (found := probe())[0] != "200 OK" and found)
    assert status == "503 Service Unavailable" and "the celery loop has stood still for" in said
    held.set()
    eventually(lambda: probe() == ("200 OK", "ok"))
    ended.set()
    turning.join()


def test_a_worker_without_a_broker_is_not_at_fault():
    step, hub = loop_signs.CeleryLoopSigns(SimpleNamespace()), Hub()
    step.start(SimpleNamespace(hub=hub))
    eventually(pulse.fault)
    step.stop(SimpleNamespace())
    assert not pulse.fault()


def test_the_listeners_loop_is_missed_likewise():
    loop, held = asyncio.new_event_loop(), threading.Event()
    turning = threading.Thread(target=loop.run_forever)
    turning.start()
    signs = asyncio.run_coroutine_threadsafe(loop_signs.smtp_loop_signs(), loop)
    eventually(lambda: pulse.smtp_loop.age() is not None)
    loop.call_soon_threadsafe(held.wait)
    eventually(pulse.fault)
    held.set()
    eventually(lambda: not pulse.fault())
    signs.cancel()
    eventually(lambda: pulse.smtp_loop.age() is None)
    loop.call_soon_threadsafe(loop.stop)
    turning.join()
    loop.close()


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_loop_stands_still_does_not_say_that_it_takes_work(monkeypatch):
    monkeypatch.setattr(capacity, "HEARTBEAT", 0.05)
    looked = []
    fault = pulse.fault
    monkeypatch.setattr(pulse, "fault", lambda: looked.append(fault()) or looked[-1])
    pulse.celery_loop.beat()
    eventually(fault)
    services = DeliveryServices(2, ("deliver",))
    services._heartbeat.start()
    try:
        eventually(lambda: len(looked) > 2)
        assert all(looked[:2]) and not Worker.objects.exists()
        pulse.celery_loop.rest()
        eventually(Worker.objects.exists)
    finally:
        services._heartbeat.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_by_itself_is_missed_until_somebody_stops_it(monkeypatch):
    monkeypatch.setattr(Scheduler, "rest", lambda _: sys.exit("no clock"))
    scheduler = Scheduler()
    scheduler.start()
    eventually(lambda: probe() == ("503 Service Unavailable", "a thread has ended by itself: scheduler"))

    scheduler.stop()

    assert probe() == ("200 OK", "ok")


def test_an_error_of_any_kind_leaves_the_scheduler_running(monkeypatch, caplog):
    errors = [ValueError("one"), StorageFullError("two"), MemoryError("three")]
    looks = []

    def look(_):
        looks.append(1)
        if errors:
            raise errors.pop()
        return 0.01

    monkeypatch.setattr(Scheduler, "_look", look)
    monkeypatch.setattr("mailrelay.outbox.scheduling.scheduler.LONGEST_SLEEP", 0.01)
    scheduler = Scheduler()
    scheduler.start()
    eventually(lambda: len(looks) > 4)
    scheduler.stop()

    assert caplog.text.count("scheduler failed and tries again in") == 3
