"""While the database takes no writes: mail is turned away at once, and taken back if it was stored after all.

An accept without an outcome costs its client ten seconds. One is enough to know: from there on nothing is
tried until a write has succeeded. That write also takes back what clients were told to send again.
"""

import logging
import threading
from typing import TYPE_CHECKING
from uuid import UUID

from mailrelay import metrics
from mailrelay.models import ContentChunk, Delivery, Message
from mailrelay.outbox.db import counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import process_writer
from mailrelay.outbox.keeping import subject_index
from mailrelay.vocabulary import State

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger(__name__)

#: Seconds between two tries to write.
INTERVAL = 1.0


class Outage:
    """Begins with an accept that had no outcome, lasts until a write succeeds. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doubtful: set[UUID] = set()
        self._closed = False
        self.lasts = False

    def begin(self, doubtful: UUID | None = None) -> None:
        """Turn mail away from here on; take `doubtful` back, whose client was told that it was not stored."""
        with self._lock:
            if doubtful is not None:
                self._doubtful.add(doubtful)
            if self.lasts:
                return
            self.lasts = True
        log.warning("the database gave an accept no outcome: mail gets 451 until it takes writes again")
        metrics.STORAGE_STALLED.set(1)
        self._probe()

    def close(self) -> None:
        """Try no more."""
        self._closed = True

    def _probe(self) -> None:
        with self._lock:
            doubtful = tuple(self._doubtful)
        if not self._closed:
            probe = process_writer().submit(Move.WITHDRAW, lambda: _take_back(doubtful))
            probe.add_done_callback(lambda done: self._probed(done, doubtful))

    def _probed(self, done: "Future[None]", taken_back: tuple[UUID, ...]) -> None:
        if done.exception() is not None:
            timer = threading.Timer(INTERVAL, self._probe)
            timer.daemon = True
            timer.start()
            return
        with self._lock:
            self._doubtful.difference_update(taken_back)
            self.lasts = bool(self._doubtful)
        if self.lasts:
            self._probe()
            return
        log.warning("the database takes writes again")
        metrics.STORAGE_STALLED.set(0)


def _take_back(doubtful: tuple[UUID, ...]) -> None:
    """Withdraw what is there of `doubtful`; it is a write even where that is nothing."""
    counters.add(counters.DISOWNED, sum(map(_withdraw, doubtful)))


def _withdraw(queue_id: UUID) -> bool:
    """Delete a message that nobody began to send; one that is under way stays, and is a second copy.

    What its client has sent again meanwhile was answered 250 with its queue id, and stays as well.
    """
    message = Message.objects.filter(pk=queue_id).select_for_update(no_key=True)
    if any(message.values_list("repeats", flat=True)):
        return False
    rows = Delivery.objects.filter(message_id=queue_id).select_for_update(no_key=True)
    states = list(rows.values_list("state", flat=True))
    if any(state != State.QUEUED for state in states):
        return False
    subject_index.remove([queue_id])
    Message.objects.filter(pk=queue_id).delete()
    ContentChunk.objects.filter(content=queue_id).delete()
    return bool(states)
