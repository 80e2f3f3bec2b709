"""SIGTERM and SIGINT: what is in transfer finishes, what is idle is told, nothing is lost or in doubt."""

import signal
import smtplib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from tests.harness.ports import eventually
from tests.harness.processes import ROOT, GatewayProcess, Relay, base_environment, mail, manage, rows, send

#: Seconds after which an orchestrator kills.
GRACE = 30.0


def wait_for_end(process: GatewayProcess) -> None:
    assert process.process.wait(GRACE) == 0, process.output()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("kind", [GatewayProcess, Relay], ids=["rungateway", "runsmtp"])
def test_a_mail_in_transfer_finishes_and_idle_sessions_are_told(tmp_path, sandbox_of_module, talk, kind, how):
    environment = base_environment(tmp_path, sandbox_of_module)
    if kind is Relay:
        environment["CELERY_BROKER_URL"] = "redis://127.0.0.1:9/0"
        manage(environment, "migrate", "--verbosity", "0")
    with kind(environment) as process:
        idle, busy = talk(process.smtp_port), talk(process.smtp_port)
        busy.begin_data()
        busy.send(b"From: app@contoso.test\r\nSubject: in transfer\r\n")

        process.process.send_signal(how)
        assert idle.reply().startswith("421 4.3.2 ")
        assert idle.reply() == ""
        with pytest.raises(ConnectionRefusedError):
            talk(process.smtp_port)
        assert process.ready()["checks"]["process"] == "this process is shutting down"

        busy.send(b"\r\nhello\r\n.\r\n")
        accepted = busy.reply()
        assert accepted.startswith("250 2.0.0 Ok: queued as ")
        assert busy.say("QUIT").startswith(("221 2.0.0 ", "421 4.3.2 "))
        wait_for_end(process)

    ((found,),) = rows(environment, "SELECT COUNT(*) FROM mailrelay_message WHERE subject = 'in transfer'")
    assert found == 1


def pour(port: int, numbers: range, accepted: list[int]) -> None:
    """Send mails until the listener takes no more, and note those that got their 250."""
    with suppress(OSError, smtplib.SMTPException):
        for number in numbers:
            send(port, mail(number))
            accepted.append(number)


def under_load(port: int) -> tuple[ThreadPoolExecutor, list[int]]:
    accepted: list[int] = []
    pool = ThreadPoolExecutor(4)
    for thread in range(4):
        pool.submit(pour, port, range(thread * 1000, thread * 1000 + 60), accepted)
    return pool, accepted


def assert_nothing_in_doubt(stack) -> None:
    """No attempt is open or uncertain: every request that was begun has its answer on record."""
    outcomes = dict(
        rows(stack.environment, "SELECT outcome, COUNT(*) FROM mailrelay_sendlog GROUP BY outcome")
    )
    assert set(outcomes) == {"sent"}
    assert not {"uncertain", "sending", "deferred"} & set(stack.states())


def assert_each_once(stack, accepted: list[int]) -> None:
    ids = [delivery["internet_message_id"] for delivery in stack.delivered()]
    assert len(ids) == len(set(ids))
    assert {f"<test-{number}@app.test>" for number in accepted} <= set(ids)


def test_the_gateway_ends_under_load_without_doubt_or_loss(embedded):
    embedded.sandbox.fault("sendMail", "latency", ms=200, times=None)
    listener = embedded.start()
    pool, accepted = under_load(listener.smtp_port)
    eventually(lambda: embedded.states().get("sent", 0) >= 3)

    listener.process.terminate()
    wait_for_end(listener)
    pool.shutdown()

    assert_nothing_in_doubt(embedded)
    stored = sum(embedded.states().values())
    assert stored >= len(accepted)
    embedded.sandbox.clear_faults()
    listener.start()
    embedded.wait_for(sent=stored, timeout=90)
    assert_each_once(embedded, accepted)


def test_a_worker_ends_under_load_and_another_goes_on(on_redis):
    on_redis.sandbox.fault("sendMail", "latency", ms=200, times=None)
    listener = on_redis.start()
    first = on_redis.worker()
    first.start()
    pool, accepted = under_load(listener.smtp_port)
    eventually(lambda: on_redis.states().get("sent", 0) >= 3)

    first.process.terminate()
    wait_for_end(first)
    pool.shutdown()

    on_redis.sandbox.clear_faults()
    on_redis.wait_for(sent=len(accepted), timeout=90)
    assert_nothing_in_doubt(on_redis)
    assert_each_once(on_redis, accepted)


def test_whatever_hangs_does_not_keep_a_process():
    """A thread pool that waits for a request would hold the interpreter's own end up for minutes."""
    code = """
import threading
from concurrent.futures import ThreadPoolExecutor
from mailrelay.processes.stopping import end_within
ThreadPoolExecutor().submit(threading.Event().wait)
end_within(0.2)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=GRACE, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "leases find what it was" in done.stderr


def test_a_signal_in_the_moment_before_the_wait_is_not_lost():
    """The main thread has the event's lock there, and a handler that waited for it would wait for itself."""
    code = """
import os, signal
from mailrelay.processes.stopping import until_stopped
stopped = until_stopped()
with stopped._cond:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass
stopped.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=GRACE, check=False)

    assert done.returncode == 0


@pytest.mark.slow
def test_a_request_that_hangs_is_left_behind_in_time_and_found_as_uncertain(embedded):
    listener = embedded.start()
    embedded.sandbox.fault("sendMail", "hang", seconds=300)
    send(listener.smtp_port, mail(1))
    eventually(lambda: embedded.states() == {"sending": 1})

    started = time.monotonic()
    listener.process.terminate()
    wait_for_end(listener)

    assert time.monotonic() - started < GRACE
    embedded.sandbox.clear_faults()
    listener.start()
    embedded.wait_for(uncertain=1)
    assert requests.get(f"http://127.0.0.1:{listener.http_port}/health", timeout=5).status_code == 200


def test_a_second_signal_changes_nothing(tmp_path, talk):
    with GatewayProcess(base_environment(tmp_path)) as process:
        session = talk(process.smtp_port)
        for _ in range(3):
            process.process.terminate()
        assert session.reply().startswith("421 4.3.2 ")
        wait_for_end(process)
