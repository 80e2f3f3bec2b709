"""Bounds the memory that the deliveries of one process take at once, first come, first served.

The queue spreads large mail over the workers, one for each, yet a broker may hand two to the same process.
What finds no room waits for it, with its lease kept alive, until another is done.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mailrelay.mime.compose import DIRECT_LIMIT
from mailrelay.models import Delivery
from mailrelay.vocabulary import Route

__all__ = ["MemoryBudget", "MemoryShare", "NoMemoryError", "composing", "needed", "process_memory"]

#: Bytes that all together take: beside a gateway of 100 MiB, and a mail that its listener examines meanwhile,
#: they leave it below 128 MiB.
TOTAL: Final = 12 * 1024 * 1024
#: What large mail takes: its skeleton, once as read and once as composed. More than half: one at a time.
LARGE: Final = TOTAL // 2 + 1
#: Bytes of a message up to which it is not counted, so that small mail waits for nobody.
SMALL: Final = 262_144
#: What a whole message may take of its size once it is made fit; 8-bit text becomes base64.
GROWTH: Final = 1.5
#: Seconds between two looks whether the process ends.
STEP: Final = 0.5


class NoMemoryError(Exception):
    """The process ended before there was room."""


class MemoryBudget:
    """`total` bytes that are shared."""

    def __init__(self, total: int = TOTAL) -> None:
        self.total = self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int, ending: threading.Event) -> Iterator["MemoryShare"]:
        """Have `amount` bytes for the length of the block; no more than all of them are waited for.

        Raises NoMemoryError when `ending` is set before there is room.
        """
        memory_share = MemoryShare(self, min(amount, self.total))
        if memory_share.amount:
            self._enter(memory_share.amount, ending)
        try:
            yield memory_share
        finally:
            memory_share.shrink(0)

    def _enter(self, amount: int, ending: threading.Event) -> None:
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                while self._queue[0] is not me or self._free < amount:
                    if ending.is_set():
                        raise NoMemoryError(
                            "The process ended before there was room in memory for this mail."
                        )
                    self._changed.wait(STEP)
                self._free -= amount
            finally:
                self._queue.remove(me)
                self._changed.notify_all()

    def give_back(self, amount: int) -> None:
        with self._changed:
            self._free += amount
            self._changed.notify_all()


class MemoryShare:
    """What one delivery has of the room."""

    def __init__(self, budget: MemoryBudget, amount: int) -> None:
        self._budget, self.amount = budget, amount

    def shrink(self, amount: int) -> None:
        """Keep `amount` bytes, if that is less."""
        if amount < self.amount:
            self._budget.give_back(self.amount - amount)
            self.amount = amount


def needed(delivery: Delivery) -> int:
    """How many bytes of memory carrying out `delivery` takes."""
    limit = min(delivery.mailbox.direct_limit, DIRECT_LIMIT)
    if delivery.route == Route.LARGE or delivery.size > limit:
        return LARGE
    return int(GROWTH * delivery.size) if delivery.size > SMALL else 0


@contextmanager
def composing(delivery: Delivery) -> Iterator[None]:
    """Read and make fit one larger message at a time: that takes a few times its size, for a moment."""
    if delivery.size <= SMALL:
        yield
        return
    with _COMPOSING:
        yield


_COMPOSING = threading.Lock()
#: That of this process.
process_memory = MemoryBudget()
