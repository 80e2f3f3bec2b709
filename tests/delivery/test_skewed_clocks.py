"""Clocks that are wrong or step, by libfaketime: the database's time decides, and nothing storms."""

import time
from pathlib import Path

import pytest

from tests.delivery.office import CONFLICT
from tests.harness.ports import eventually
from tests.harness.processes import mail, send
from tests.harness.services import PostgreSQL, program
from tests.harness.stacks import REDIS, Stack, environment_of

pytestmark = pytest.mark.timeout(600)

#: A little less than an hour: so old is the sandbox's certificate.
SKEW = 3500
DAY = 86_400
#: Seconds within which the sweep has looked at what waits.
SWEPT = 20


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
    on_redis.sandbox.fault("sendMail", "status", **CONFLICT)

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
    on_redis.sandbox.fault("sendMail", "status", **CONFLICT)
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


class Times(PostgreSQL):
    """A PostgreSQL server whose clock a test sets."""

    def spawn(self, *command: str, user: str | None = None, **environment: str) -> None:
        self.clock = self.folder / "clock"
        if not self.clock.exists():
            self.step(0)
        faked = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        super().spawn(*command, user=user, **faked, **environment)

    def step(self, seconds: int) -> None:
        self.clock.write_text(f"{seconds:+d}")
        self.clock.chmod(0o644)


@pytest.fixture
def on_wrong_postgresql(tmp_path, sandbox, redis):
    """A cluster whose database has a clock that a test sets."""
    server = Times()
    redis.flush()
    environment = environment_of(tmp_path / "data", sandbox, server.database(), redis.url)
    stack = Stack(REDIS, environment, sandbox, redis, server)
    try:
        with stack.entered:
            yield stack
    finally:
        server.close()


def pauses(stack, seconds: int) -> None:
    """Let Graph ask for a pause, so that what waits is swept before it can be sent."""
    stack.sandbox.fault("sendMail", "throttled", retry_after=str(seconds))


def test_mail_of_a_machine_without_a_battery_clock_is_sent_once_its_clock_is_set(embedded, clock):
    variables, step = clock
    step(-6 * DAY)
    gateway = embedded.listener().start(**variables)
    for number in range(5):
        send(gateway.smtp_port, mail(number))
    embedded.wait_for(90, queued=5)
    pauses(embedded, SWEPT)

    step(0)

    eventually(lambda: attempts(embedded), 60, "an attempt")
    embedded.wait_for(90, sent=5)
    assert len(embedded.delivered()) == 5


def wait_for_sweep() -> None:
    """Let what looks every fifteen seconds look: nothing announces that it found nothing to do."""
    time.sleep(SWEPT)


def test_a_clock_that_is_ten_days_ahead_for_a_moment_ends_no_mail_and_delays_none(embedded, clock):
    variables, step = clock
    gateway = embedded.listener().start(**variables)
    pauses(embedded, 40)
    for number in range(3):
        send(gateway.smtp_port, mail(number))
    eventually(lambda: attempts(embedded), 60, "an attempt")

    pauses(embedded, 40)
    step(10 * DAY)
    send(gateway.smtp_port, mail("of the future"))
    eventually(lambda: attempts(embedded) > 1, 60, "an attempt by the wrong clock")
    wait_for_sweep()
    step(0)

    embedded.wait_for(120, sent=4)
    assert len(embedded.delivered()) == 4


@pytest.mark.parametrize("first", [-6 * DAY, 0])
def test_a_databases_clock_that_is_set_ends_no_mail_and_delays_none(on_wrong_postgresql, first):
    stack = on_wrong_postgresql
    stack.database.step(first)
    listener = stack.start()
    pauses(stack, 3000)
    for number in range(3):
        send(listener.smtp_port, mail(number))
    eventually(lambda: attempts(stack), 60, "an attempt")

    pauses(stack, 60)
    stack.database.step(10 * DAY)
    eventually(lambda: attempts(stack) > 1, 120, "an attempt by the wrong clock")
    wait_for_sweep()
    stack.database.step(0)

    stack.wait_for(150, sent=3)
    assert len(stack.delivered()) == 3
