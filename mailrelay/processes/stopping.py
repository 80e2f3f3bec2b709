"""Waiting for the signal that ends a process."""

import signal
import threading
from types import FrameType


def until_stopped() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set. Call it in the main thread."""
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped
