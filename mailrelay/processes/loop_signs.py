"""The signs of life that the loops of this process give."""

import asyncio
from typing import Any

from celery.bootsteps import StartStopStep

from mailrelay.health import pulse


class CeleryLoopSigns(StartStopStep):
    """A step of the worker's consumer, which starts it for each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        """Begin. The worker inside rungateway has no such loop: it waits for tasks in memory."""
        if consumer.hub is not None:
            self._timer = consumer.hub.call_repeatedly(pulse.INTERVAL, pulse.celery_loop.beat)
            pulse.celery_loop.beat()

    def stop(self, _consumer: Any) -> None:
        """Rest while there is no connection: a new process would have none either."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        pulse.celery_loop.rest()


async def smtp_loop_signs() -> None:
    """Beat in the listener's event loop until it ends."""
    try:
        while True:
            pulse.smtp_loop.beat()
            await asyncio.sleep(pulse.INTERVAL)
    finally:
        pulse.smtp_loop.rest()
