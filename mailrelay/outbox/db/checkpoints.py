"""Moves SQLite's log into the database file beside the writer, not by it.

SQLite lets the commit that fills the log do this: it then waits for two flushes of the disk, and every other
mail behind it. A checkpoint that is PASSIVE waits for nobody and keeps nobody waiting
(https://www.sqlite.org/wal.html#ckpt); what it leaves, since the writer goes on, a commit moves as before.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import Error, connection

log = logging.getLogger(__name__)

#: Moves after which a checkpoint is due: some eight megabytes.
EVERY = 256
#: What a piece of a large content counts for: it writes as much as so many small moves.
LARGE = 32


class Checkpoints:
    """Runs a checkpoint every now and then, in a thread that lives from the first one on."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._written = 0
        self._running: Future[None] | None = None
        self._lock = threading.Lock()

    def wrote(self, moves: int) -> None:
        """Count what was committed; returns at once."""
        with self._lock:
            self._written += moves
            if self._written < EVERY or (self._running is not None and not self._running.done()):
                return
            self._written = 0
            self._running = self._executor.submit(_checkpoint)

    def stop(self) -> None:
        """Let the one that runs finish, and begin no more."""
        self._executor.shutdown(wait=True)


def _checkpoint() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            cursor.fetchone()
    except Error as error:
        # A full or broken disk: the writer meets it too, and it is the writer that tells the clients.
        log.warning("no checkpoint of the database: %s", type(error).__name__)
    finally:
        connection.close()
