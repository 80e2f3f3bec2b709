"""Outcomes from the queue's threads on their way into the event loop."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future


class Completions:
    """Waits for futures of other threads; all that end together wake the event loop once.

    `asyncio.wrap_future` writes to the loop's wake-up socket for each: a system call a mail, made by the
    thread that commits for everybody.
    """

    def __init__(self) -> None:
        self._ended: deque[asyncio.Future[None]] = deque()
        self._woken = False

    async def wait(self, outcome: "Future[None]", seconds: float) -> bool:
        """Whether `outcome` is there within `seconds`."""
        if outcome.done():
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _set, waiter)
        outcome.add_done_callback(lambda _: self._put(loop, waiter))
        try:
            await waiter
        finally:
            timer.cancel()
        return outcome.done()

    def _put(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
        self._ended.append(waiter)
        if not self._woken and not loop.is_closed():
            self._woken = True
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        # First, so that what ends from here on wakes the loop again.
        self._woken = False
        while self._ended:
            _set(self._ended.popleft())


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
