"""Celery's task events go out a few times a second, and from one thread.

A mail causes three of them. A thread that finds many gathered would publish them itself, and wait for
RabbitMQ's confirmation on a connection that the worker's loop reads as well: of two that read one socket each
gets a part of what the other waits for, for ever.
"""

import sys
from typing import Any

from celery.bootsteps import StartStopStep

#: Seconds after which Flower sees what a task did.
INTERVAL = 0.25


class TaskEventsTogether(StartStopStep):
    """A step of the worker's consumer, which publishes after every turn of its loop."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        """Begin with the dispatcher of this connection to the broker: the next one has another."""
        dispatcher = consumer.event_dispatcher
        if consumer.hub is not None and dispatcher is not None:
            dispatcher.on_send_buffered, dispatcher.buffer_limit = None, sys.maxsize
            self._timer = consumer.hub.call_repeatedly(INTERVAL, dispatcher.flush)

    def stop(self, _consumer: Any) -> None:
        """End it. What waits is not published: the broker may be what has failed."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
