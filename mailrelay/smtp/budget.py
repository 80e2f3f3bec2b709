"""How many bytes of messages may be in transfer at a time, in all sessions of a process."""

import threading

from mailrelay import metrics


class Budget:
    """Counts bytes between the beginning of DATA and the commit. Any thread may give back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        #: Messages that have bytes in transfer.
        self.messages = 0
        self._lock = threading.Lock()

    def lease(self) -> "Lease":
        return Lease(self)

    def change(self, amount: int, *, begun: bool = False, ended: bool = False) -> bool:
        """Take `amount` bytes, or give back; whether they are there. One message alone always fits."""
        with self._lock:
            if amount > 0 and self._used and self._used + amount > self._limit:
                return False
            self._used += amount
            self.messages += begun - ended
            metrics.SMTP_BYTES_IN_TRANSFER.set(self._used)
            return True


class Lease:
    """What one message has of the budget."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow_to(self, size: int) -> bool:
        """Have `size` bytes at least; whether they are there."""
        if size > self._size:
            if not self._budget.change(size - self._size, begun=not self._size):
                return False
            self._size = size
        return True

    def share(self, size: int) -> int:
        """Its part of `size` where all messages in transfer have an equal one."""
        return size // max(1, self._budget.messages)

    def release(self) -> None:
        size, self._size = self._size, 0
        if size:
            self._budget.change(-size, ended=True)
