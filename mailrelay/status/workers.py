"""Tells which workers are alive, and which Celery queues they serve."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from mailrelay.models import Delivery, Worker
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import clock

#: Seconds without a sign of life after which a worker counts as gone.
SILENCE = capacity.HEARTBEAT * capacity.MISSED
NONE_ALIVE = "No worker is running: mail is accepted and waits until one is started."


def alive(now: datetime | None = None) -> QuerySet[Worker]:
    """Give the workers that have been seen within SILENCE seconds."""
    return capacity.alive(now or clock.now())


def served_queues(now: datetime | None = None) -> frozenset[str]:
    """Name the Celery queues that living workers serve."""
    listed = alive(now).values_list("queues", flat=True)
    return frozenset(queue for queues in listed for queue in queues.split(","))


def serving(workers: Iterable[Worker], queue: str) -> list[Worker]:
    """Give those of `workers` that serve `queue`."""
    return [worker for worker in workers if queue in worker.queues.split(",")]


def queue_of(delivery: Delivery) -> str:
    """Name the Celery queue of a delivery, which brings its mailbox and registration."""
    return capacity.queue_of(delivery.mailbox.registration.managed_by, delivery.route)


def start_one(queue: str) -> str:
    """Say how a worker for `queue` is started."""
    variables = ", with the AZURE_ variables and SENDER_EMAIL in its environment"
    own = variables if queue.endswith("-environment") else ""
    return f"Start the gateway (manage.py rungateway), or a worker: celery -A gateway worker{own}."
