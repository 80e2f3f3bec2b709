"""Failed logins: who has had too many recently. A login that succeeds is never counted."""

import time
from collections.abc import Callable

from mailrelay.smtp.hosts import host_of
from mailrelay.token_buckets import TokenBuckets

#: Failures that are forgiven at once: of one name from one address, of a name, of an address. A device with
#: an old password must not lock out its neighbours behind the same address, nor its name elsewhere.
PAIR_LIMIT, LOGIN_LIMIT, ADDRESS_LIMIT = 5, 20, 30
#: Seconds after which one failure is forgotten.
RECOVERY_SECONDS = 180.0
#: Counts that are kept.
KEPT = 20_000


class Failures:
    """Counts in this process: each failure uses up a token, and who has none left is refused."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._left: TokenBuckets[tuple[str, str]] = TokenBuckets(now, KEPT)

    def add(self, address: str, login: str) -> None:
        for key in ((address, login), (host_of(address), ""), ("", login)):
            self._left.spend(key, _limit_of(key), 1 / RECOVERY_SECONDS)

    def of_pair(self, address: str, login: str) -> bool:
        """Whether `login` has failed too often from `address`."""
        return self._too_many((address, login))

    def of_either(self, address: str, login: str) -> bool:
        """Whether `login` has failed too often from anywhere, or the host of `address` with whatever name."""
        return self._too_many(("", login)) or self._too_many((host_of(address), ""))

    def _too_many(self, key: tuple[str, str]) -> bool:
        return self._left.wait(key, _limit_of(key), 1 / RECOVERY_SECONDS) > 0


def _limit_of(key: tuple[str, str]) -> int:
    address, login = key
    if address and login:
        return PAIR_LIMIT
    return LOGIN_LIMIT if login else ADDRESS_LIMIT
