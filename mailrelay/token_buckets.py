"""Token buckets: what may happen so many times in a span, each bucket filling evenly."""

import threading
import time
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class TokenBuckets(Generic[K]):
    """A bucket for each key, in this process. Any thread may use them.

    A bucket that nobody has used is full. Beyond `kept` buckets, those that are full again go, and where none
    is, the quarter that was used longest ago: so that room is not looked for at each one that comes.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, kept: int = 10_000) -> None:
        self._now, self._kept = now, kept
        self._lock = threading.Lock()
        #: What each held and when, and when it is full again; the latest used is the last.
        self._buckets: dict[K, tuple[float, float, float]] = {}

    def wait(self, key: K, capacity: float, per_second: float) -> float:
        """Return the seconds until there is a token; 0 where there is one. A capacity of 0 is no limit."""
        with self._lock:
            level = self._level(key, capacity, per_second)
        return _wait(level, per_second) if capacity else 0.0

    def take(self, key: K, capacity: float, per_second: float) -> float:
        """Use a token and return 0; where there is none, use none and return the seconds until there is."""
        with self._lock:
            level = self._level(key, capacity, per_second)
            wait = _wait(level, per_second) if capacity else 0.0
            if capacity and not wait:
                self._put(key, level - 1.0, capacity, per_second)
        return wait

    def spend(self, key: K, capacity: float, per_second: float) -> None:
        """Use a token even where there is none: the bucket lacks it until it has filled so far."""
        with self._lock:
            level = self._level(key, capacity, per_second)
            self._put(key, level - 1.0, capacity, per_second)

    def _level(self, key: K, capacity: float, per_second: float) -> float:
        now = self._now()
        level, at, _ = self._buckets.get(key, (capacity, now, now))
        return min(capacity, level + (now - at) * per_second)

    def _put(self, key: K, level: float, capacity: float, per_second: float) -> None:
        now = self._now()
        self._buckets.pop(key, None)
        self._buckets[key] = (level, now, now + (capacity - level) / per_second)
        if len(self._buckets) > self._kept:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket[2] > now}
        if len(self._buckets) > self._kept:
            for oldest in list(islice(self._buckets, max(1, self._kept // 4))):
                del self._buckets[oldest]


def _wait(level: float, per_second: float) -> float:
    return 0.0 if level >= 1.0 else (1.0 - level) / per_second
