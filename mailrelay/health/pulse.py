"""Notices loops and threads of this process that stand still, for /health."""

import time

from mailrelay import periodic

#: Seconds between two signs of a loop.
INTERVAL = 5.0
#: Seconds without one after which a loop stands still for good: nothing that it waits for takes so long.
STANDSTILL = 60.0


class Pulse:
    """When a loop gave its last sign. Any thread may ask."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._at: float | None = None

    def beat(self) -> None:
        """Say that the loop turns; to be called every `INTERVAL` seconds from now on."""
        self._at = time.monotonic()

    def rest(self) -> None:
        """Say that the loop has ended, or has a reason not to turn."""
        self._at = None

    def age(self) -> float | None:
        """Return the seconds since the last sign; None while the loop rests."""
        at = self._at
        return None if at is None else time.monotonic() - at


#: Celery's loop in a worker of its own, and the event loop of the SMTP listeners.
celery_loop, smtp_loop = Pulse("celery"), Pulse("smtp")
LOOPS = (celery_loop, smtp_loop)


def fault() -> str:
    """Return what keeps this process from its work until it is started again; empty if nothing does."""
    for loop in LOOPS:
        if (age := loop.age()) is not None and age > STANDSTILL:
            return f"the {loop.name} loop has stood still for {age:.0f} seconds"
    if dead := periodic.dead():
        return f"a thread has ended by itself: {', '.join(dead)}"
    return ""
