"""Microsoft's limits, counted per app registration and mailbox as the throttling page of Graph says."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.world import Limits

SLICES = 600  # a window drops in this many steps, so that 10,000 requests are not 10,000 entries


class SlidingWindow:
    """A sum over the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._slices: deque[list[float]] = deque()
        self._total = 0.0

    def add(self, now: float, amount: float) -> None:
        start = now - now % (self.seconds / SLICES)
        if self._slices and self._slices[-1][0] == start:
            self._slices[-1][1] += amount
        else:
            self._slices.append([start, amount])
        self._total += amount

    def total(self, now: float) -> float:
        while self._slices and self._slices[0][0] + self.seconds <= now:
            self._total -= self._slices.popleft()[1]
        return self._total

    def seconds_until(self, now: float, at_most: float) -> float:
        """How long until the sum is `at_most` if nothing is added."""
        total = self.total(now)
        for start, amount in self._slices:
            if total <= at_most:
                return 0.0
            total -= amount
            ends = start + self.seconds
            if total <= at_most:
                return max(0.0, ends - now)
        return 0.0


class Throttled(Exception):  # noqa: N818 -- it is an answer of the service, not an error of the program
    """A limit was met; `seconds` is the honest time to wait."""

    def __init__(self, limit: str, seconds: float) -> None:
        super().__init__(limit)
        self.limit, self.seconds = limit, seconds


class Limiter:
    """Slots in flight and sliding windows, by (app, mailbox).

    A refused request counts in the request window too: "immediate retries keep counting".
    """

    def __init__(self) -> None:
        self.in_flight: dict[tuple[str, str], int] = defaultdict(int)
        self.max_in_flight: dict[tuple[str, str], int] = defaultdict(int)
        self._requests: dict[tuple[str, str], SlidingWindow] = {}
        self._uploads: dict[tuple[str, str], SlidingWindow] = {}

    def enter(self, limits: Limits, app: str, mailbox: str) -> tuple[str, str]:
        """Take a slot and return its key for `leave`; raises Throttled when there is none."""
        now, key = time.monotonic(), (app, mailbox)
        window = _window(self._requests, key, limits.requests_window)
        window.add(now, 1)
        if limits.requests and window.total(now) > limits.requests:
            raise Throttled("Request", window.seconds_until(now, limits.requests - 1))
        slot = (app, "*") if limits.concurrency_scope == "app" else key
        self.in_flight[slot] += 1
        self.max_in_flight[slot] = max(self.max_in_flight[slot], self.in_flight[slot])
        if limits.concurrency and self.in_flight[slot] > limits.concurrency:
            self.leave(slot)
            raise Throttled("MailboxConcurrency", limits.retry_after_seconds)
        return slot

    def leave(self, slot: tuple[str, str]) -> None:
        self.in_flight[slot] -= 1

    def upload(self, limits: Limits, app: str, mailbox: str, size: int) -> None:
        """Count `size` bytes of a request body; raises Throttled when the window is full."""
        now = time.monotonic()
        window = _window(self._uploads, (app, mailbox), limits.upload_window)
        if limits.upload_bytes and window.total(now) + size > limits.upload_bytes:
            raise Throttled("Upload", window.seconds_until(now, limits.upload_bytes - size))
        window.add(now, size)


def _window(
    windows: dict[tuple[str, str], SlidingWindow], key: tuple[str, str], seconds: float
) -> SlidingWindow:
    window = windows.get(key)
    if window is None or window.seconds != seconds:
        window = windows[key] = SlidingWindow(seconds)
    return window


def retry_after(style: str, seconds: float) -> str | None:
    """The Retry-After header in one of the spellings seen: integer, fractional, http-date or absent."""
    if style == "absent":
        return None
    if style == "fractional":
        return f"{seconds + 0.128:.3f}"
    if style == "http-date":
        return formatdate(time.time() + seconds + 1, usegmt=True)
    return str(max(1, int(-(-seconds // 1))))
