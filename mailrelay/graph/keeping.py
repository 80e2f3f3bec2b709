"""Decides how long a connection to a host is kept for the next request.

A server or proxy that closes a kept connection at the moment of its next use leaves a mail of unknown
outcome. A look at the socket cannot see that coming, so each host is remembered by what happened there.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable

log = logging.getLogger(__name__)

#: Breaks after which no connection to a host is kept; after the first, none for longer than half the time
#: that the broken one had been idle.
MOST_BREAKS = 2
#: Seconds idle at which a break is no matter of a time limit that could be kept to.
AT_ONCE = 2.0
#: Seconds after the last break until connections are kept again.
FORGOTTEN = 6 * 3600.0


class Keeping:
    """For how long connections to one host may be idle and still be used. Any thread may ask and tell."""

    def __init__(self, host: str, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._longest, self._clock = host, longest, clock
        self._lock = threading.Lock()
        self._limit, self._breaks, self._broke_at = longest, 0, 0.0

    @property
    def limit(self) -> float:
        """Seconds that a connection may have been idle; 0: none is kept."""
        with self._lock:
            if self._breaks and self._clock() - self._broke_at > FORGOTTEN:
                self._limit, self._breaks = self._longest, 0
            return self._limit

    @property
    def keeps(self) -> bool:
        """Whether connections are kept at all."""
        return self.limit > 0

    def broke(self, idle: float) -> None:
        """Note that a connection that had been kept for `idle` seconds broke as it was used."""
        with self._lock:
            self._breaks += 1
            self._broke_at = self._clock()
            never = self._breaks >= MOST_BREAKS or idle < AT_ONCE
            self._limit = 0.0 if never else min(self._limit, idle / 2)
        log.warning(
            "%s closed a kept connection as it was used, after %.1f s; kept from now on: %s",
            self._host,
            idle,
            "none" if never else f"for {idle / 2:.1f} s",
        )


class Keepings:
    """One `Keeping` for each way to a host, for as long as the process lives."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._known: dict[Hashable, Keeping] = {}

    def of(self, host: str, *way: Hashable) -> Keeping:
        """Return what is known of `host`, reached in that `way` (port, proxy)."""
        key = (host, *way)
        return self._known.get(key) or self._known.setdefault(key, Keeping(host, self._longest))
