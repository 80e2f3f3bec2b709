"""A thread that does one thing every few seconds."""

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from weakref import ref

from django.db import DatabaseError, InterfaceError, connection

from mailrelay.database import PassingError, first_line

log = logging.getLogger(__name__)


#: What was started in this process, or in the one that it was forked from. A list, since probes read it while
#: threads start.
_started: "list[ref[PeriodicThread]]" = []


def dead() -> list[str]:
    """Name the threads of this process that have ended though nobody stopped them."""
    known = filter(None, (started() for started in list(_started)))
    here = (one for one in known if one.pid == os.getpid() and not one.ended.is_set())
    return sorted(one.name for one in here if not one.is_alive())


class PeriodicThread(ABC):
    """Calls `run_once` every `pause()` seconds until it is stopped; an error ends only that one call."""

    name: str
    #: Seconds between two calls.
    interval: float
    #: Seconds before the first call.
    delay = 0.0
    #: Seconds that `stop` waits for a call that has begun.
    patience = 5.0

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.pid = 0
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.pid = os.getpid()
        _started.append(ref(self))

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the thread end, and wait for it; does nothing where it never began."""
        self.ended.set()
        if self._thread.is_alive():
            self._thread.join(self.patience)

    @abstractmethod
    def run_once(self) -> None:
        """Do what there is to do now."""

    def at_end(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what is left to do when the thread ends: nothing, unless a subclass says otherwise."""

    def pause(self) -> float:
        """Return the seconds until the next call."""
        return self.interval

    def rest(self) -> None:
        """Wait until the next call is due."""
        self.ended.wait(self.pause())

    def _run(self) -> None:
        self.ended.wait(self.delay)
        while not self.ended.is_set():
            self._guarded(self.run_once)
            self.rest()
        self._guarded(self.at_end)
        connection.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (DatabaseError, InterfaceError, PassingError) as error:
            connection.close()
            log.warning("%s failed and tries again in %.0f s: %s", self.name, self.pause(), first_line(error))
        except Exception:
            log.exception("%s failed and tries again in %.0f s", self.name, self.pause())
