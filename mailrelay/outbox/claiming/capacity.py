"""Counts free workers: never more is claimed than they can start."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from mailrelay.models import Mailbox, Worker
from mailrelay.outbox.db import clock, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.rules import age
from mailrelay.vocabulary import ManagedBy, Route

#: Seconds between two signs of life; a worker that missed three of them does not count.
HEARTBEAT = 5.0
MISSED = 3
#: Deliveries claimed for each one that runs: the next is at hand when a thread comes free.
AHEAD = 2
#: Deliveries that workers must be free for before the scheduler looks for some.
LUMP = 4
#: Large deliveries that one process runs at once: each holds a skeleton of up to 3 MB in memory.
LARGE_AT_ONCE = 1
#: Seconds for which the sum is remembered.
REMEMBERED = 1.0

#: The few rows in flight, and whose they are: each looks its mailbox up, however many mailboxes there are.
#: (Where the database may choose, it reads all mailboxes first.)
IN_FLIGHT = """
    WITH flying AS MATERIALIZED (
        SELECT mailbox_id, route,
            (SELECT registration_id FROM mailrelay_mailbox WHERE id = mailbox_id) AS registration_id,
            (SELECT managed_by FROM mailrelay_appregistration WHERE id = (
                SELECT registration_id FROM mailrelay_mailbox WHERE id = mailbox_id
            )) AS managed_by
        FROM mailrelay_delivery WHERE state IN ('reserved', 'sending')
    )
"""
COUNT_IN_USE = f"""
    {IN_FLIGHT}
    SELECT COUNT(CASE WHEN mailbox_id = %s THEN 1 END),
           COUNT(CASE WHEN registration_id = %s THEN 1 END),
           COUNT(CASE WHEN (managed_by = 'environment') = %s THEN 1 END),
           COUNT(CASE WHEN (managed_by = 'environment') = %s AND route = 'large' THEN 1 END)
    FROM flying
"""  # noqa: S608 - words of our own
COUNT_OF_QUEUE = f"{IN_FLIGHT} SELECT COUNT(*) FROM flying WHERE (managed_by = 'environment') = %s"  # noqa: S608 - likewise
FULL = f"""
    {IN_FLIGHT}
    SELECT app.id FROM mailrelay_appregistration app
    WHERE app.concurrency > 0
        AND app.concurrency <= (SELECT COUNT(*) FROM flying WHERE registration_id = app.id)
"""  # noqa: S608 - likewise
COUNT_ALL = "SELECT COUNT(*) FROM mailrelay_delivery WHERE state IN ('reserved', 'sending')"

_lock = threading.Lock()
_remembered: dict[str, tuple[float, int, int]] = {}


def beat(name: str, queues: tuple[str, ...], capacity: int) -> None:
    """Note that the worker `name` is alive and runs `capacity` deliveries at once."""
    now = clock.ask()

    def run() -> None:
        row = {"queues": ",".join(queues), "capacity": capacity, "seen_at": now}
        if not Worker.objects.filter(name=name).update(**row):
            Worker.objects.create(name=name, started_at=now, **row)
        Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()
        age.note(now)

    write(Move.REGISTER, run, durable=False)
    forget()


def leave(name: str) -> None:
    """Note that the worker `name` has ended."""
    write(Move.REGISTER, lambda: Worker.objects.filter(name=name).delete(), durable=False)


@dataclass(frozen=True, slots=True)
class InUse:
    """What is in flight through a mailbox, and how many more deliveries workers and registration allow."""

    mailbox: int
    free: int
    #: Large ones among those more.
    large: int


def free(queue: str) -> int:
    """Return how many more deliveries may be claimed for the workers of `queue`."""
    in_flight = statements.first(COUNT_OF_QUEUE, queue == queue_of(ManagedBy.ENVIRONMENT))
    assert in_flight is not None
    return max(0, _capacity(queue) * AHEAD - int(in_flight[0]))


def free_at_all() -> bool:
    """Whether live workers can take on as much more as is worth a look: a claim of several costs like one."""
    capacity = sum(_capacity(queue) for queue in {queue_of(owner) for owner in ManagedBy})
    in_flight = statements.first(COUNT_ALL) if capacity else None
    return in_flight is not None and bool(in_flight[0] <= capacity * AHEAD - min(capacity, LUMP))


def in_use(mailbox: Mailbox, queue: str) -> InUse:
    """Count what is in flight, in one look at the few rows that are."""
    own = mailbox.registration.managed_by == ManagedBy.ENVIRONMENT
    counts = statements.first(COUNT_IN_USE, mailbox.pk, mailbox.registration_id, own, own)
    assert counts is not None
    of_mailbox, of_registration, of_queue, large_ones = counts
    allowed = max(0, _capacity(queue) * AHEAD - of_queue)
    cap = mailbox.registration.concurrency
    if cap:
        allowed = min(allowed, max(0, cap - of_registration))
    takers = _alive(queue_of(mailbox.registration.managed_by, Route.LARGE))[1]
    return InUse(of_mailbox, allowed, max(0, takers * LARGE_AT_ONCE - large_ones))


def full_registrations() -> list[int]:
    """List the registrations whose own cap is reached: their mailboxes need not be looked at."""
    return [registration_id for (registration_id,) in statements.every(FULL)]


def forget() -> None:
    with _lock:
        _remembered.clear()


def alive(now: datetime) -> QuerySet[Worker]:
    """Give the workers that were seen within the last heartbeats."""
    return Worker.objects.filter(seen_at__gte=now - timedelta(seconds=HEARTBEAT * MISSED))


def _capacity(queue: str) -> int:
    return _alive(queue)[0]


def _alive(queue: str) -> tuple[int, int]:
    """Return how many deliveries the live workers of `queue` run at once, and how many workers they are."""
    with _lock:
        known = _remembered.get(queue)
    if known is not None and time.monotonic() - known[0] < REMEMBERED:
        return known[1:]
    of_queue = [worker for worker in alive(clock.now()) if queue in worker.queues.split(",")]
    capacity = sum(worker.capacity for worker in of_queue)
    with _lock:
        _remembered[queue] = (time.monotonic(), capacity, len(of_queue))
    return capacity, len(of_queue)


def queue_of(managed_by: str, route: str = Route.MIME) -> str:
    """Name the Celery queue for a registration: the environment's needs workers that have its variables.

    Large mail has queues of its own, so that Flower and an operator see it apart.
    """
    name = "deliver-large" if route == Route.LARGE else "deliver"
    return f"{name}-environment" if managed_by == ManagedBy.ENVIRONMENT else name
