"""`celery -A gateway worker`: what is done when it starts, is ready, and ends."""

import sys
from typing import TYPE_CHECKING, Any

import django
from django.core.management.base import CommandError

from mailrelay.processes import preflight, probes
from mailrelay.processes.delivering import DeliveryServices, queues

if TYPE_CHECKING:
    from mailrelay.health.serving import HealthServer


class WorkerProcess:
    """The services of this worker process, told by Celery's signals."""

    def __init__(self) -> None:
        self._services: DeliveryServices | None = None
        self._health: HealthServer | None = None
        self._served: tuple[str, ...] = ()

    def refuse(self) -> None:
        """End at once with a sentence where the worker could not work; serve the probes where it can.

        That is before it reaches the broker, which may take as long as the broker is away.
        """
        django.setup()
        try:
            preflight.refuse_misconfiguration()
            preflight.refuse_memory_broker("A worker of its own")
            preflight.refuse_unmigrated()
            preflight.refuse_misreading_python()
            preflight.refuse_wrong_field_key()
            self._health = probes.serve()
        except CommandError as error:
            sys.exit(f"CommandError: {error}")

    def choose_queues(self, instance: Any) -> None:
        """Take only what this process has credentials for, and of that what `-Q` names."""
        chosen = instance.app.amqp.queues
        for name in set(chosen) - set(queues()):
            chosen.deselect(name)
        self._served = tuple(name for name in queues() if name in chosen.consume_from)

    def ready(self, threads: int) -> None:
        self._services = DeliveryServices(threads, self._served)
        self._services.start()
        probes.serving()

    def retire(self) -> None:
        probes.ending()
        if self._services is not None:
            self._services.retire()

    def stop(self) -> None:
        if self._services is not None:
            self._services.stop()
        probes.stop(self._health)


process = WorkerProcess()
