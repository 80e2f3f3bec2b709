"""Sliding windows as short lists of buckets: what a mailbox used lately, kept in its own row.

An entry is [start of the bucket in unix seconds, amount]. A bucket counts until all of it lies outside the
window, so that a limit is kept to the letter, at the price of one bucket's length. What a clock that was
ahead put into the future counts from now on: left there, later use would be added to it and stay as long.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

Entries = list[list[int]]


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in seconds, cut into buckets of `grain` seconds."""

    span: int
    grain: int

    def righted(self, entries: Entries, now: datetime) -> Entries:
        """Return the entries with what lies in the future put into the present bucket.

        The next bucket may be there already where clocks differ by moments: that one stays.
        """
        start = self._start(now)
        if not entries or entries[-1][0] <= start + self.grain:
            return entries
        past = [entry for entry in entries if entry[0] < start]
        return [*past, [start, sum(amount for at, amount in entries if at >= start)]]

    def used(self, entries: Entries, now: datetime) -> int:
        """Return what still counts."""
        return sum(amount for _, amount in self._current(entries, now))

    def add(self, entries: Entries, amount: int, now: datetime) -> Entries:
        """Return the entries with `amount` more in the present bucket, and without what is over.

        A negative amount gives back; no bucket falls below nothing.
        """
        start = self._start(now)
        current = [list(entry) for entry in self._current(entries, now)]
        if current and current[-1][0] >= start:
            current[-1][1] = max(0, current[-1][1] + amount)
        elif amount > 0:
            current.append([start, amount])
        return current

    def opens_at(self, entries: Entries, amount: int, limit: int, now: datetime) -> datetime:
        """Return when `amount` fits under `limit`; `now` when it does, or when it is more than all of it."""
        used, at = self.used(entries, now), now
        for start, spent in self._current(entries, now):
            if not used or used + amount <= limit:
                break
            used -= spent
            at = datetime.fromtimestamp(start + self.grain + self.span, UTC)
        return at

    def _current(self, entries: Entries, now: datetime) -> Entries:
        oldest = now.timestamp() - self.span - self.grain
        return [entry for entry in entries if entry[0] > oldest]

    def _start(self, now: datetime) -> int:
        return int(now.timestamp()) // self.grain * self.grain
