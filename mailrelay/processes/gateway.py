"""Everything in one process: listener, worker, scheduler and web, on embedded parts."""

import logging
import threading
from typing import Any

from celery import current_app
from celery.worker import state as worker_state
from django.conf import settings
from django.core.management.base import CommandError
from django.core.wsgi import get_wsgi_application

from mailrelay.health.monitor import monitor
from mailrelay.health.serving import HealthServer
from mailrelay.outbox import leases
from mailrelay.outbox.writer import stop_process_writer
from mailrelay.processes.delivering import DeliveryServices, queues
from mailrelay.processes.relay import Relay

log = logging.getLogger(__name__)

#: What Celery's worker is told to end with.
EXIT: Any = 0
#: Seconds that requests to Graph may take to end after SIGTERM; the drain has had its share before.
LAST_REQUESTS = 20.0


class Gateway:
    """The whole gateway in this process. Start it after the tables are there."""

    def __init__(self) -> None:
        if settings.CELERY_BROKER_URL.startswith("memory:"):
            # Tasks of a predecessor died with its memory, and the lock on DATA_DIR says that it is gone.
            leases.recover()
        self._relay = Relay()
        self._services = DeliveryServices(settings.DELIVERY_THREADS)
        self._worker = _worker()
        self._working = threading.Thread(target=self._worker.start, name="worker", daemon=True)
        self._health: HealthServer | None = None

    def start(self) -> None:
        """Bind the addresses, then begin to deliver. Raises CommandError when an address is taken."""
        self._health = _health()
        self._relay.start()
        self._working.start()
        self._services.start()

    def stop(self) -> None:
        """End in the order of a message's way: no new mail, then no new requests, then nothing."""
        monitor.draining = True
        self._relay.drain()
        self._services.retire()
        worker_state.should_stop = EXIT
        self._working.join(LAST_REQUESTS)
        self._services.stop()
        if self._health is not None:
            self._health.stop()
        stop_process_writer()


def _worker() -> Any:
    """Make Celery's worker for this process: threads, and none of the chatter between workers."""
    return current_app.WorkController(
        app=current_app,
        pool_cls="threads",
        concurrency=settings.DELIVERY_THREADS,
        queues=list(queues()),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel=logging.WARNING,
    )


def _health() -> HealthServer | None:
    if settings.HTTP_LISTEN is None:
        return None
    try:
        return HealthServer(settings.HTTP_LISTEN, get_wsgi_application())
    except OSError as error:
        host, port = settings.HTTP_LISTEN
        raise CommandError(
            f"Cannot listen on {host}:{port} for the admin: {error.strerror}. Set HTTP_LISTEN to "
            "another address."
        ) from None
