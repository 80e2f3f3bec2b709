"""One timer a session, however often its deadline moves."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` once the time last set is over; moving it later costs no timer."""

    __slots__ = ("_at", "_expired", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Expire `seconds` from now, whatever was set before."""
        self._at = self._loop.time() + seconds
        if self._handle is None or self._handle.when() > self._at:
            self._arm(self._at)

    def set_if_none(self, seconds: float) -> None:
        """Expire `seconds` from now, unless a time is set."""
        if self._at is None:
            self.set(seconds)

    def clear(self) -> None:
        """Never expire, until set again."""
        self._at = None

    def cancel(self) -> None:
        """Give the timer back: the session is over."""
        self._at = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(at, self._check)

    def _check(self) -> None:
        self._handle = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._arm(self._at)
        else:
            self._at = None
            self._expired()
