"""Everything in one process: listener, worker, scheduler and web, on embedded parts."""

import logging
import threading
import time
from typing import Any

from celery import current_app
from celery.worker import state as worker_state
from django.conf import settings

from mailrelay.outbox.settling import expiry
from mailrelay.processes.delivering import DeliveryServices, queues
from mailrelay.processes.relay import Relay
from mailrelay.processes.stopping import ORDERLY

#: What Celery's worker is told to end with.
EXIT: Any = 0
#: Seconds that the last steps get after listener and worker have had theirs.
LAST_STEPS = 2.0


class Gateway:
    """The whole gateway in this process. Start it after the tables are there."""

    def __init__(self) -> None:
        if settings.EMBEDDED and settings.CELERY_BROKER_URL.startswith("memory:"):
            # Tasks of a predecessor died with its memory, and the lock on DATA_DIR says that it is gone.
            expiry.recover()
        self._relay = Relay()
        self._services = DeliveryServices(settings.DELIVERY_THREADS)
        self._worker = _worker()
        self._working = threading.Thread(target=self._worker.start, name="worker", daemon=True)

    def start(self) -> None:
        """Bind the addresses, then begin to deliver. Raises CommandError when an address is taken."""
        self._relay.start()
        self._working.start()
        self._services.start()

    def stop(self) -> None:
        """End within `stopping.ORDERLY` seconds: requests to Graph finish while mail in transfer does."""
        end = time.monotonic() + ORDERLY - LAST_STEPS
        self._services.retire()
        worker_state.should_stop = EXIT
        self._relay.drain()
        self._working.join(max(0.0, end - time.monotonic()))
        self._services.stop()


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
