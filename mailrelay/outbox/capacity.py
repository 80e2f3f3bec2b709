"""How much live workers can take on: never more is claimed than they can start."""

import threading
import time
from datetime import timedelta

from mailrelay.models import Delivery, Worker
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox import clock
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import ManagedBy

#: Seconds between two signs of life; a worker that missed three of them does not count.
HEARTBEAT = 5.0
MISSED = 3
#: Deliveries claimed for each one that runs: the next is at hand when a thread comes free.
AHEAD = 2
#: Seconds for which the sum is remembered.
REMEMBERED = 1.0

_lock = threading.Lock()
_remembered: dict[str, tuple[float, int]] = {}


def beat(name: str, queues: tuple[str, ...], capacity: int) -> None:
    """Note that the worker `name` is alive and runs `capacity` deliveries at once."""
    now = clock.now()

    def run() -> None:
        row = {"queues": ",".join(queues), "capacity": capacity, "seen_at": now}
        if not Worker.objects.filter(name=name).update(**row):
            Worker.objects.create(name=name, started_at=now, **row)
        Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()

    write(Move.REGISTER, run, durable=False)
    forget()


def leave(name: str) -> None:
    """Note that the worker `name` has ended."""
    write(Move.REGISTER, lambda: Worker.objects.filter(name=name).delete(), durable=False)


def free(queue: str) -> int:
    """Return how many more deliveries may be claimed for the workers of `queue`."""
    return max(0, _capacity(queue) * AHEAD - _in_flight(queue))


def forget() -> None:
    with _lock:
        _remembered.clear()


def _capacity(queue: str) -> int:
    with _lock:
        known = _remembered.get(queue)
    if known is not None and time.monotonic() - known[0] < REMEMBERED:
        return known[1]
    alive = Worker.objects.filter(seen_at__gte=clock.now() - timedelta(seconds=HEARTBEAT * MISSED))
    of_queue = [worker for worker in alive if queue in worker.queues.split(",")]
    capacity = sum(worker.capacity for worker in of_queue)
    with _lock:
        _remembered[queue] = (time.monotonic(), capacity)
    return capacity


def _in_flight(queue: str) -> int:
    environment = queue_of(ManagedBy.ENVIRONMENT) == queue
    in_flight = Delivery.objects.filter(IN_FLIGHT)
    owned = {"mailbox__registration__managed_by": ManagedBy.ENVIRONMENT}
    return (in_flight.filter(**owned) if environment else in_flight.exclude(**owned)).count()


def queue_of(managed_by: str) -> str:
    """Name the Celery queue for a registration: the environment's needs workers that have its variables."""
    return "deliver-environment" if managed_by == ManagedBy.ENVIRONMENT else "deliver"
