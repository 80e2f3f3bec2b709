"""Bounds the bytes of messages in transfer at a time, in all sessions of a process."""

import threading
from collections import Counter

from mailrelay import memory, metrics

#: What part of them one client may have with several messages; the rest is there for others.
SHARE = 0.75
#: Messages that have no more bytes than this, or a sixteenth of all, are never too many.
SMALL = 64 * 1024
#: What part of the memory limit of this process may be in transfer: it becomes pages of files.
PART_OF_MEMORY = 8


def bytes_in_transfer(setting: int) -> int:
    """Return how many bytes may be in transfer: `setting`, less where the cgroup's memory is scarce."""
    limit = memory.limit()
    return min(setting, limit // PART_OF_MEMORY) if limit and memory.scarce() else setting


class Budget:
    """Counts bytes between the beginning of DATA and the commit. Any thread may give back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._of_client: Counter[str] = Counter()
        #: Messages that have bytes in transfer.
        self.messages = 0
        self._lock = threading.Lock()

    def lease(self, client: str) -> "Lease":
        return Lease(self, client)

    def take(self, client: str, amount: int, had: int) -> bool:
        """Take `amount` bytes for a message of `client` that had `had`; whether they are there.

        One message alone always fits, and so does the only one of a client while there is room for all. A
        small one fits always: large mail must not keep it waiting.
        """
        with self._lock:
            used, own = self._used + amount, self._of_client[client] + amount
            small = had + amount <= min(SMALL, self._limit // 16)
            if used > self._limit and self._used > had and not small:
                return False
            if own > self._limit * SHARE and self._of_client[client] > had and not small:
                return False
            self._change(client, amount)
            self.messages += not had
            return True

    def give_back(self, client: str, amount: int) -> None:
        """Give back all that a message had."""
        with self._lock:
            self._change(client, -amount)
            self.messages -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def _change(self, client: str, amount: int) -> None:
        self._used += amount
        self._of_client[client] += amount
        metrics.SMTP_BYTES_IN_TRANSFER.set(self._used)


class Lease:
    """What one message has of the budget."""

    __slots__ = ("_budget", "_client", "_size")

    def __init__(self, budget: Budget, client: str) -> None:
        self._budget = budget
        self._client = client
        self._size = 0

    def grow_to(self, size: int) -> bool:
        """Have `size` bytes at least; whether they are there."""
        if size > self._size:
            if not self._budget.take(self._client, size - self._size, self._size):
                return False
            self._size = size
        return True

    def share(self, size: int) -> int:
        """Its part of `size` where all messages in transfer have an equal one."""
        return size // max(1, self._budget.messages)

    def release(self) -> None:
        size, self._size = self._size, 0
        if size:
            self._budget.give_back(self._client, size)
