"""Puts the outcome of a delivery on record, however long the database is away."""

import logging
import threading
from collections.abc import Callable
from itertools import chain, repeat

from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.errors import OutboxError

log = logging.getLogger(__name__)

#: Seconds between two tries to record an answer while the database is away; the last one repeats.
RECORD_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)

#: Set when the process ends: an answer that cannot be recorded any more is found by its expired lease.
ending = threading.Event()


class AnswerLostError(Exception):
    """This process ends with an outcome that the database did not take: the expired lease decides."""


def recorded(record: Callable[[], list[Reservation]]) -> list[Reservation]:
    """Put on record what is known here and nowhere else; return what `record` claimed.

    Raises AnswerLostError when the process has to end before that.
    """
    for wait in chain(RECORD_WAITS, repeat(RECORD_WAITS[-1])):
        try:
            return record()
        except OutboxError:
            log.warning("the outcome of a delivery waits to be recorded: the database is out of reach")
            if ending.wait(wait):
                break
    raise AnswerLostError("The process ended before the outcome could be recorded.")
