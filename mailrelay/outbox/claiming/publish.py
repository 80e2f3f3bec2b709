"""Publishing: a task with ids for each reservation. The broker may be slow or gone; the queue is not in it.

Everything here runs off the reply path. What cannot be published goes back to the queue at once, and the
broker is left alone for a moment, since each try costs its whole time budget.
"""

import logging
import threading
import time

from celery import current_app

from mailrelay import metrics
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.errors import OutboxError

log = logging.getLogger(__name__)

TASK = "mailrelay.deliver"
#: Seconds for which a broker that failed is not tried again.
REST = 2.0

_rest_until = 0.0
_lock = threading.Lock()


def broker_rests() -> bool:
    """Whether publishing failed a moment ago, so that claiming more would be in vain."""
    return time.monotonic() < _rest_until


def publish(reservations: list[Reservation]) -> None:
    """Hand each reservation to the broker; give back what it does not take. Never raises for the broker."""
    for position, reservation in enumerate(reservations):
        if broker_rests() or not _send(reservation):
            _give_back(reservations[position:])
            return


def _send(reservation: Reservation) -> bool:
    try:
        current_app.send_task(
            TASK,
            args=[reservation.delivery_id, str(reservation.token)],
            task_id=reservation.task_id,
            queue=reservation.queue,
            retry=False,
            confirm_timeout=1.0,
        )
    except Exception as error:  # noqa: BLE001 - kombu and its transports raise what they like
        global _rest_until  # noqa: PLW0603 - one broker a process
        with _lock:
            _rest_until = time.monotonic() + REST
        metrics.PUBLISH_FAILURES.inc()
        log.warning(
            "the broker took no task (%s); mail stays queued and is tried again", type(error).__name__
        )
        return False
    return True


def _give_back(reservations: list[Reservation]) -> None:
    for reservation in reservations:
        try:
            leases.give_back(reservation.delivery_id, reservation.token)
        except OutboxError:
            log.warning("a reservation could not be given back; it expires by itself")
