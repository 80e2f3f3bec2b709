"""Failed logins: who has had too many recently. A login that succeeds is never counted."""

import time
from collections.abc import Callable

from mailrelay.smtp.hosts import host_of

#: Failures that are forgiven at once: of one name from one address, of a name, of an address. A device with
#: an old password must not lock out its neighbours behind the same address, nor its name elsewhere.
PAIR_LIMIT, LOGIN_LIMIT, ADDRESS_LIMIT = 5, 20, 30
#: Seconds after which one failure is forgotten.
RECOVERY_SECONDS = 180.0
#: Counts that are kept; those that are forgotten anyway go first.
KEPT = 20_000


class Failures:
    """Counts in this process; each count leaks. Used in its event loop only."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: dict[tuple[str, str], tuple[float, float]] = {}

    def add(self, address: str, login: str) -> None:
        for key in ((address, login), (host_of(address), ""), ("", login)):
            self._counts[key] = (self._count(key) + 1.0, self._now())
        if len(self._counts) > KEPT:
            self._counts = {key: at for key, at in self._counts.items() if self._count(key) > 0.0}

    def of_pair(self, address: str, login: str) -> bool:
        """Whether `login` has failed too often from `address`."""
        return self._count((address, login)) > PAIR_LIMIT - 1.0

    def of_either(self, address: str, login: str) -> bool:
        """Whether `login` has failed too often from anywhere, or the host of `address` with whatever name."""
        of_login, of_host = self._count(("", login)), self._count((host_of(address), ""))
        return of_login > LOGIN_LIMIT - 1.0 or of_host > ADDRESS_LIMIT - 1.0

    def _count(self, key: tuple[str, str]) -> float:
        count, at = self._counts.get(key, (0.0, 0.0))
        return max(0.0, count - (self._now() - at) / RECOVERY_SECONDS)
