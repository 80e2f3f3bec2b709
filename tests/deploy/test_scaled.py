"""The scaled overlay as processes: Flower shows what they do, and killing each in turn loses no mail."""

import os
import signal
import smtplib
import threading
from contextlib import ExitStack

import pytest
import requests

from tests.delivery.reconcile import Ledgers
from tests.deploy.pods import PASSWORD, Pod, documents_of_scaled, run_job, secret_files
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

pytestmark = pytest.mark.services
SHORT = {"LEASE_SECONDS": "3", "UNCERTAIN_DELAY": "2", "DELIVERY_RETRY_MIN": "1"}


class Scaled:
    """Two relays, two workers, web and Flower on PostgreSQL and RabbitMQ."""

    def __init__(self, stack, tmp_path) -> None:
        self.stack = stack
        environment = stack.environment | SHORT
        folder = secret_files(tmp_path / "secrets", environment)
        documents = documents_of_scaled()

        def pod(name: str, kind: str = "Deployment") -> Pod:
            return Pod(documents, kind, f"graph-smtp-{name}", environment, folder)

        run_job(pod("migrate", "Job"))
        self.relays = [pod("relay"), pod("relay")]
        self.workers = [pod("worker"), pod("worker")]
        self.web, self.flower = pod("web"), pod("flower")
        self.pods = [*self.relays, *self.workers, self.web, self.flower]

    def __enter__(self):
        self._entered = ExitStack()
        for pod in self.pods:
            self._entered.callback(pod.kill)
            pod.start(wait=False)
        for pod in self.pods:
            pod.wait_until_up(120)
        return self

    def __exit__(self, *_) -> None:
        self._entered.close()


@pytest.fixture
def scaled(on_rabbitmq, tmp_path):
    with Scaled(on_rabbitmq, tmp_path) as found:
        yield found


def send_until_taken(ports: list[int], number: int) -> str:
    """Send as a client does that tries again, at the next relay, until one says 250; return what it took.

    Each try is a mail of its own: what a relay stored and could not acknowledge any more arrives as well.
    """
    for turn in range(600):
        try:
            send(ports[(number + turn) % len(ports)], mail(f"{number}-{turn}"), timeout=20)
        except (smtplib.SMTPException, OSError, AssertionError):
            threading.Event().wait(0.1)
        else:
            return f"test-{number}-{turn}@app.test"
    raise AssertionError(f"no relay took mail {number}")


def test_flower_shows_the_worker_and_the_finished_task_by_the_id_of_the_message(scaled):
    base = f"http://127.0.0.1:{scaled.flower.http_port}"
    login = tuple(PASSWORD.split(":"))

    def workers() -> list[str]:
        shown = requests.get(f"{base}/workers", params={"json": "1"}, auth=login, timeout=20).json()["data"]
        return [worker["hostname"] for worker in shown if worker["status"]]

    eventually(workers, what="a worker in Flower")
    queue_id = send(scaled.relays[0].smtp_port, mail(1))
    scaled.stack.wait_for(sent=1)

    def finished() -> dict:
        tasks = requests.get(f"{base}/api/tasks", auth=login, timeout=20).json()
        return {name: task for name, task in tasks.items() if task["state"] == "SUCCESS"}

    tasks = eventually(finished, what="the finished task in Flower")

    (name,) = tasks
    assert name.startswith(f"{queue_id}.")
    assert tasks[name]["name"] == "mailrelay.deliver"
    assert requests.get(f"{base}/task/{name}", auth=login, timeout=20).status_code == 200
    assert requests.get(f"{base}/tasks", timeout=20).status_code == 401
    assert "flower_events_total" in requests.get(f"{base}/metrics", timeout=20).text
    refused = requests.post(f"{base}/api/worker/shutdown/{workers()[0]}", auth=login, timeout=20)
    assert refused.status_code == 403


def kill_each_in_turn(scaled: Scaled, taken: set[str], total: int, *, servers: bool) -> None:
    """Kill and restart one after the other, each when another part of the mail has been taken."""
    victims = [*scaled.pods, *([scaled.stack.database, scaled.stack.broker] if servers else [])]
    for turn, victim in enumerate(victims):
        share = total * (turn + 1) // (len(victims) + 1)
        eventually(lambda share=share: len(taken) >= share, 300, f"{share} mails taken")
        if isinstance(victim, Pod):
            victim.kill()
            victim.start()
        else:
            # SIGQUIT is PostgreSQL's immediate shutdown: it recovers as after a crash.
            victim.end(signal.SIGQUIT if victim is scaled.stack.database else signal.SIGKILL)
            victim.start()


def rehearse(scaled: Scaled, total: int, *, servers: bool) -> None:
    ports = [relay.smtp_port for relay in scaled.relays]
    numbers = iter(range(total))
    lock, taken = threading.Lock(), set()

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            taken.add(send_until_taken(ports, number))

    clients = [threading.Thread(target=client, daemon=True) for _ in range(4)]
    for thread in clients:
        thread.start()
    kill_each_in_turn(scaled, taken, total, servers=servers)
    for thread in clients:
        thread.join(300)

    assert len(taken) == total
    eventually(lambda: not Ledgers.of(scaled.stack, taken).open(), 240, "the end of all deliveries")
    ledgers = Ledgers.of(scaled.stack, taken)
    ledgers.assert_nothing_lost()
    ledgers.assert_nothing_doubled_but_by_policy()
    assert {state for state, _ in ledgers.recorded.values()} == {"sent"}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killing_each_process_in_turn_loses_no_mail(scaled):
    rehearse(scaled, 280, servers=False)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_two_thousand_mails_outlive_the_kill_of_each_process_and_server(scaled):
    rehearse(scaled, int(os.environ.get("SOAK_MAILS", "2000")), servers=True)
