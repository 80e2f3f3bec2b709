"""What a process does again and again beside the mail, in a thread of its own."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from django.db import DatabaseError, connection

from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.writer import recycle

log = logging.getLogger(__name__)


class Chore(ABC):
    """A thread that calls `look` every `interval` seconds; what a look stumbles over ends only that look."""

    name: str
    interval: float
    #: Seconds before the first look.
    delay = 0.0
    #: Seconds that `stop` waits for a look that is under way.
    patience = 5.0

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.ended.set()
        self._thread.join(self.patience)

    @abstractmethod
    def look(self) -> None:
        """Do what there is to do now."""

    def leave(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what others may have once this thread has ended; nothing, as a rule."""

    def _run(self) -> None:
        self.ended.wait(self.delay)
        while not self.ended.is_set():
            self._guarded(self.look)
            self.ended.wait(self.interval)
        self._guarded(self.leave)
        connection.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (DatabaseError, OutboxError) as error:
            recycle(error)
        except Exception:
            log.exception("%s stumbled; it goes on", self.name)
