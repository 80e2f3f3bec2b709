"""Kills at every failpoint and at random moments under load; then the three ledgers are reconciled.

A short run is part of `make test`; `make soak` runs a thousand kills (SOAK_KILLS says another number).
"""

import os
import random
import smtplib
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from mailrelay.outbox.db import failpoints
from tests.delivery.reconcile import Ledgers
from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, mail, send
from tests.harness.stacks import Stack

#: Points that ordinary mail does not pass in a short life of a process.
RARE = ("withdraw", "by_hand", "hold", "age", "retain", "store_chunk", "give_back", "lend")
POINTS = [point for point in failpoints.points() if not point.startswith(RARE)]


#: Mails that applications try to send for each kill: what dead workers leave behind must not grow for ever.
MAILS = 15


class Clients:
    """Applications that send mail, as much as `grant` lets them, and remember what they were told."""

    def __init__(self, port: int, threads: int = 2) -> None:
        self._port = port
        self._ended = threading.Event()
        self.told: set[str] = set()
        self.sent = 0
        self._granted = threading.Semaphore(MAILS)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def grant(self, mails: int = MAILS) -> None:
        self._granted.release(mails)

    def __exit__(self, *_) -> None:
        self._ended.set()
        self.grant()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._granted.acquire()
            with self._lock:
                self.sent += 1
                number = self.sent
            size = random.choice([0, 0, 0, 300_000])
            try:
                send(self._port, mail(number, size=size), timeout=20)
            except (smtplib.SMTPException, OSError, AssertionError):
                time.sleep(0.05)
                self.grant(1)
                continue
            with self._lock:
                self.told.add(f"test-{number}@app.test")


def kill_some(process: GatewayProcess, clients: Clients, kills: int, seed: int) -> None:
    """Kill and restart `process`, in turn at a failpoint and at any moment."""
    chance = random.Random(seed)
    for number in range(kills):
        clients.grant()
        if number % 2:
            process.start()
            time.sleep(chance.uniform(0.05, 1.0))
            process.kill()
        else:
            point = f"{chance.choice(POINTS)}:{chance.randint(1, 4)}"
            process.start(wait=False, FAILPOINT=point)
            with suppress(AssertionError, subprocess.TimeoutExpired):
                process.wait_until_killed(3.0)
            process.kill()
    process.start()
    clients.grant()


def reconcile(stack: Stack, told: set[str]) -> Ledgers:
    """Wait until nothing is left to happen, then hold the ledgers against each other."""
    patience = 240 + len(told) / 5
    eventually(lambda: not Ledgers.of(stack, told).open(), patience, "the end of all deliveries")
    ledgers = Ledgers.of(stack, told)
    ledgers.assert_nothing_lost()
    ledgers.assert_nothing_doubled_but_by_policy()
    return ledgers


SHORT = {"LEASE_SECONDS": "3", "UNCERTAIN_DELAY": "2", "DELIVERY_RETRY_MIN": "1", "BOUNCE_POLICY": "none"}


def run(stack: Stack, kills: int, seed: int, *, victim: str) -> Ledgers:
    stack.environment |= SHORT
    stack.migrate()
    listener = stack.listener()
    if stack.embedded:
        target = listener
    else:
        worker = stack.worker()
        target, other = (listener, worker) if victim == "listener" else (worker, listener)
        other.start()
    with Clients(listener.smtp_port) as clients:
        kill_some(target, clients, kills, seed)
        eventually(lambda: len(clients.told) > 3, 120, "mail that was taken")
    return reconcile(stack, clients.told)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_dozen_kills_of_the_one_process_lose_and_double_nothing(embedded, seed):
    ledgers = run(embedded, 12, seed, victim="all")

    assert ledgers.told


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["listener", "worker"])
def test_kills_in_a_cluster_lose_and_double_nothing(on_redis, victim):
    ledgers = run(on_redis, 8, 3, victim=victim)

    assert ledgers.told


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("victim", ["listener", "worker"])
def test_a_thousand_kills(stack, victim):
    kills = int(os.environ.get("SOAK_KILLS", "1000")) // 6
    ledgers = run(stack, kills, int(os.environ.get("SOAK_SEED", "7")), victim=victim)

    print(f"{stack.name}, {victim}: {kills} kills, {len(ledgers.told)} mails acknowledged, none lost")
