"""Clocks that are wrong or step, by libfaketime: the database's time decides, and nothing storms."""

from pathlib import Path

import pytest

from tests.harness.processes import mail, send
from tests.harness.services import program

pytestmark = pytest.mark.timeout(600)

#: A little less than an hour: so old is the sandbox's certificate.
SKEW = 3500


#: libfaketime 0.9.10 now and then answers clock_nanosleep with EINVAL; select sleeps as long.
SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"


def library() -> str:
    """Find libfaketime; skip where it is not there."""
    program("faketime")
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketimeMT.so.1 is not on this machine")
    return str(found[0])


@pytest.fixture
def clock(tmp_path):
    """Variables that give a process a wall clock of its own, and the function that sets it (seconds off)."""
    file = tmp_path / "clock"

    def step(seconds: int) -> None:
        file.write_text(f"{seconds:+d}")

    step(0)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SLEEP)
    variables = {
        "PYTHONPATH": str(tmp_path / "site"),
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return variables, step


def attempts(stack) -> int:
    return len([line for line in stack.sandbox.ledger() if line["kind"] == "sendMail"])


@pytest.mark.parametrize("skew", [SKEW, -SKEW])
def test_a_worker_whose_clock_is_wrong_delivers_once_by_the_databases_time(on_redis, clock, skew):
    variables, step = clock
    step(skew)
    on_redis.migrate()
    listener = on_redis.listener().start()
    on_redis.worker().start(**variables)
    on_redis.sandbox.fault("sendMail", "status", status=500)

    for number in range(5):
        send(listener.smtp_port, mail(number))

    on_redis.wait_for(150, sent=5)
    assert attempts(on_redis) == 6
    assert len(on_redis.delivered()) == 5


def test_a_workers_clock_that_steps_back_and_forth_makes_no_storm_and_stops_no_mail(on_redis, clock):
    variables, step = clock
    on_redis.environment["DELIVERY_RETRY_MIN"] = "600"
    on_redis.migrate()
    listener = on_redis.listener().start()
    on_redis.worker().start(**variables)
    on_redis.sandbox.fault("sendMail", "status", status=500)
    send(listener.smtp_port, mail(0))
    on_redis.wait_for(150, deferred=1)

    for number, seconds in enumerate((-SKEW, SKEW, 0), start=1):
        step(seconds)
        send(listener.smtp_port, mail(number))
        on_redis.wait_for(150, deferred=1, sent=number)

    assert attempts(on_redis) == 4


def test_the_one_process_outlives_steps_of_its_own_clock(embedded, clock):
    variables, step = clock
    gateway = embedded.listener().start(**variables)
    send(gateway.smtp_port, mail("first"))
    embedded.wait_for(90, sent=1)

    # Requests are under way when the clock steps, so that their leases seem to be over.
    embedded.sandbox.world(behaviour={"latency_ms": 4000})
    for number, seconds in enumerate((SKEW, -SKEW, 0), start=1):
        send(gateway.smtp_port, mail(number))
        embedded.wait_for(90, sent=number, sending=1)
        step(seconds)
        embedded.wait_for(90, sent=1 + number)

    assert attempts(embedded) == len(embedded.delivered()) == 4
