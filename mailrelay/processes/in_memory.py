"""Celery's tasks within one process: kombu's memory transport, but one that wakes its consumer.

As it comes it looks at its queues every so many milliseconds, which each task waits for and an idle gateway
pays for.
"""

import threading
import time
from queue import Empty
from typing import Any

from kombu.transport import memory

#: Seconds between two looks though nothing announced itself: a consumer may be allowed more by then.
LONGEST_WAIT = 0.5


class _Arrivals:
    """Counts what came into any queue; one that waits names the count that it has seen."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def announce(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_beyond(self, seen: int, timeout: float) -> None:
        """Return once something came since `seen`, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != seen, timeout)


_arrivals = _Arrivals()


class Channel(memory.Channel):
    """kombu's channel; what is put and what is done with are announced."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        _arrivals.announce()

    def _put_fanout(self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any) -> None:
        super()._put_fanout(exchange, message, routing_key, **kwargs)
        _arrivals.announce()

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Say that a task is taken, which may let the consumer have the next."""
        super().basic_ack(delivery_tag, multiple)
        _arrivals.announce()


class Transport(memory.Transport):
    """kombu's transport with such channels."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message; raise TimeoutError when none came within `timeout` seconds."""
        del connection
        cycle = self.cycle
        assert cycle is not None  # until it is closed
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = _arrivals.count
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = LONGEST_WAIT if end is None else min(LONGEST_WAIT, end - time.monotonic())
                if left <= 0:
                    raise TimeoutError from None
                _arrivals.wait_beyond(seen, left)
            else:
                return
