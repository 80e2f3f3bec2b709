"""Requests a minute, by token: a bucket that fills evenly, in each web process."""

import threading
import time
from collections.abc import Callable

#: Buckets that are kept; the one that was used longest ago goes first.
KEPT = 10_000


class Pace:
    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: For each token what its bucket held, and when; the latest used is the last.
        self._buckets: dict[int, tuple[float, float]] = {}

    def take(self, token: int, per_minute: int) -> float:
        """Use one request; return 0, or the seconds until there is one again and nothing was used."""
        rate = max(1, per_minute) / 60.0
        with self._lock:
            now = self._now()
            level, at = self._buckets.pop(token, (float(per_minute), now))
            level = min(float(per_minute), level + (now - at) * rate)
            taken = level >= 1.0
            self._buckets[token] = (level - taken, now)
            if len(self._buckets) > KEPT:
                del self._buckets[next(iter(self._buckets))]
        return 0.0 if taken else (1.0 - level) / rate
