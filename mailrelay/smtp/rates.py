"""Messages a minute, by client: a bucket that fills evenly."""

import time
from collections.abc import Callable

#: Buckets that are kept; those that are full again go first.
KEPT = 10_000


class Rates:
    """Counts messages in this process. Used in its event loop only."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        #: For each client what its bucket held, when, and what it may hold.
        self._buckets: dict[int, tuple[float, float, int]] = {}

    def allow(self, client: int, per_minute: int) -> bool:
        """Whether `client` has a message left."""
        return not per_minute or self._level(client, per_minute) >= 1.0

    def take(self, client: int, per_minute: int) -> bool:
        """Use one message; whether there was one."""
        if not per_minute:
            return True
        level = self._level(client, per_minute)
        if level < 1.0:
            return False
        self._buckets[client] = (level - 1.0, self._now(), per_minute)
        if len(self._buckets) > KEPT:
            self._forget_full()
        return True

    def _level(self, client: int, per_minute: int) -> float:
        level, at, _ = self._buckets.get(client, (float(per_minute), self._now(), per_minute))
        return min(float(per_minute), level + (self._now() - at) * per_minute / 60.0)

    def _forget_full(self) -> None:
        self._buckets = {
            client: bucket
            for client, bucket in self._buckets.items()
            if self._level(client, bucket[2]) < bucket[2]
        }
