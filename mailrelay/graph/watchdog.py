"""One thread that ends requests at their total deadline, whatever the peer does.

Socket timeouts start again with each byte, so a peer that drips one byte a second is never late by them.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable


class Watch:
    """One deadline and what happens at it; cancelled or expired once, never both."""

    __slots__ = ("_action", "_lock", "deadline", "expired")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.expired = False
        self._action: Callable[[], None] | None = action
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Nothing happens any more; waits for an action that is under way."""
        with self._lock:
            self._action = None

    def fire(self) -> None:
        """Act, unless cancelled. The lock keeps the action off a connection already given to another."""
        with self._lock:
            if self._action is not None:
                self.expired = True
                self._action()
                self._action = None


class Watchdog:
    """Fires watches at their deadlines (seconds of `time.monotonic`) from one daemon thread."""

    def __init__(self) -> None:
        self._reset()
        _everyone.add(self)

    def _reset(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = float("inf")

    def watch(self, deadline: float, action: Callable[[], None]) -> Watch:
        """Call `action` at `deadline` unless the returned watch is given to `release` before."""
        watch = Watch(deadline, action)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request-deadlines", daemon=True)
                self._thread.start()
            elif deadline < self._wakes_at:
                self._changed.notify()
        return watch

    def release(self, watch: Watch) -> None:
        """Forget a watch whose request has ended."""
        watch.cancel()
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            for watch in self._wait_for_due():
                watch.fire()

    def _wait_for_due(self) -> list[Watch]:
        with self._changed:
            while True:
                now = time.monotonic()
                due = [watch for watch in self._watches if watch.deadline <= now]
                if due:
                    self._watches.difference_update(due)
                    return due
                self._wakes_at = min((watch.deadline for watch in self._watches), default=float("inf"))
                self._changed.wait(min(self._wakes_at - now, 3600.0))


_everyone: weakref.WeakSet[Watchdog] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    """A forked child has neither the thread nor a usable lock."""
    for watchdog in _everyone:
        watchdog._reset()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_begin_anew_in_child)
