"""`celery -A gateway worker`: what is done when it starts, is ready, and ends."""

import sys
from typing import Any

import django
from django.conf import settings
from django.core.management.base import CommandError

from mailrelay.health.serving import HealthServer
from mailrelay.processes import preflight
from mailrelay.processes.delivering import DeliveryServices, queues


class WorkerProcess:
    """The services of this worker process, told by Celery's signals."""

    def __init__(self) -> None:
        self._services: DeliveryServices | None = None
        self._health: HealthServer | None = None

    def refuse(self) -> None:
        """End at once with a sentence where the worker could not work."""
        django.setup()
        try:
            preflight.refuse_misconfiguration()
            preflight.refuse_memory_broker("A worker of its own")
            preflight.refuse_unmigrated()
        except CommandError as error:
            sys.exit(f"CommandError: {error}")

    def choose_queues(self, instance: Any) -> None:
        """Take only what this process has credentials for."""
        for name in set(instance.app.amqp.queues) - set(queues()):
            instance.app.amqp.queues.deselect(name)

    def ready(self, threads: int) -> None:
        self._services = DeliveryServices(threads)
        self._services.start()
        if settings.HTTP_LISTEN is not None:
            self._health = HealthServer(settings.HTTP_LISTEN)

    def retire(self) -> None:
        if self._services is not None:
            self._services.retire()

    def stop(self) -> None:
        if self._services is not None:
            self._services.stop()
        if self._health is not None:
            self._health.stop()


process = WorkerProcess()
