"""A thread that looks at the database now and then, so that probes and scrapes need not."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, connection

from mailrelay.health import readiness
from mailrelay.health.figures import Figures, gather
from mailrelay.outbox.errors import OutboxError
from mailrelay.periodic import PeriodicThread

#: Seconds between two looks; longer where a look is dear, so that it stays near a twentieth of the time.
INTERVAL = 2.0
#: The longest of these: a look that took long since the database was frozen is no reason to look away.
LONGEST_INTERVAL = 7.5
#: Seconds after which the last look says nothing any more: the database does not answer.
STALE = 15.0
#: What /ready says of a process that is not to be given work yet, or any more.
STARTING = "this process is starting"
ENDING = "this process is shutting down"


@dataclass(frozen=True)
class Look:
    """What the last look found. `at` is monotonic seconds; no figures until the database gave some."""

    at: float
    checks: dict[str, str]
    figures: Figures | None = None


@dataclass
class Monitor:
    """Keeps the last look in memory."""

    look: Look = field(default_factory=lambda: Look(time.monotonic(), {"start": "not looked yet"}))
    #: `ok`, or the sentence with which this process itself keeps work away.
    process: str = readiness.OK

    def __post_init__(self) -> None:
        self._looked = threading.Event()
        self._starting = threading.Lock()
        self._thread: Looking | None = None
        self._pid = 0

    def start(self) -> None:
        """Look from now on; does nothing where this process does already."""
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = Looking(self.refresh)
                self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._thread.stop()

    def checks(self) -> dict[str, str]:
        """Return each readiness check with `ok` or the sentence that says what is wrong."""
        look = self.look
        age = time.monotonic() - look.at
        checks = dict(look.checks)
        if age > STALE:
            checks["database"] = f"the database has not answered for {age:.0f} seconds"
        if self.process != readiness.OK:
            checks["process"] = self.process
        return checks

    def wait_for_tables(self, timeout: float) -> bool:
        """Whether this version's tables were seen; waits `timeout` seconds for the first look at most."""
        self._looked.wait(timeout)
        return readiness.tables_seen()

    def refresh(self) -> None:
        """Look once."""
        checks: dict[str, str] = {}
        for name, check in readiness.CHECKS.items():
            try:
                checks[name] = check()
            except (DatabaseError, OutboxError, OSError) as error:
                connection.close()
                checks[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        self.look = Look(time.monotonic(), checks, self._figures())
        self._looked.set()

    def _figures(self) -> Figures | None:
        try:
            return gather()
        except DatabaseError:
            connection.close()
            return self.look.figures


class Looking(PeriodicThread):
    """Calls `refresh` again and again; after one that took long, later."""

    name = "health"
    patience = INTERVAL

    def __init__(self, refresh: Callable[[], None]) -> None:
        super().__init__()
        self._refresh = refresh
        self._cost = 0.0

    def run_once(self) -> None:
        started = time.monotonic()
        try:
            self._refresh()
        finally:
            self._cost = time.monotonic() - started

    def pause(self) -> float:
        return min(max(INTERVAL, 20 * self._cost), LONGEST_INTERVAL)


monitor = Monitor()
