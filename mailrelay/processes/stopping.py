"""The signal that ends a process, and the end itself when something hangs."""

import _thread
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

log = logging.getLogger(__name__)

#: Seconds that an orderly end may take. Kubernetes sends SIGKILL 30 s after SIGTERM.
ORDERLY = 27.0


def end_at_once() -> None:
    """Let SIGTERM and SIGINT end this process with code 0: it has taken no mail yet. For the main thread."""

    def stop(_: int, __: FrameType | None) -> NoReturn:
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def until_stopped() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set. Call it in the main thread.

    The process ends in ORDERLY seconds from then at the latest.
    """
    stopped = threading.Event()

    def begin_to_end() -> None:
        end_within()
        stopped.set()

    def stop(_: int, __: FrameType | None) -> None:
        # Not in this thread: it may hold the event's lock at this moment, on its way into or out of wait().
        _thread.start_new_thread(begin_to_end, ())

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


def end_within(seconds: float = ORDERLY) -> None:
    """End this process in `seconds` at the latest, whatever hangs: a database, a request to Graph.

    What it has in hand then is found by its lease, as after a kill; no 250 is owed to anyone any more.
    """
    timer = threading.Timer(seconds, _cut)
    timer.daemon = True
    timer.start()


def _cut() -> None:
    log.warning("something did not end within %.0f seconds of the signal; leases find what it was", ORDERLY)
    logging.shutdown()
    os._exit(0)
