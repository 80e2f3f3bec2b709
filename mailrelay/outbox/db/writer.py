"""Writes the queue: each move is one transaction, and on SQLite they share a thread and a commit.

SQLite has one writer. Threads that compete for it starve each other for seconds, so one thread a process
takes all that waits and commits once; where a piece of it fails, each runs again in a transaction of its
own. PostgreSQL takes writers side by side: there each move is a transaction of the thread that makes it, and
only accepts share commits.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, InterfaceError, connection, transaction

from mailrelay import metrics
from mailrelay.database import drop_connection_after
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.db.checkpoints import LARGE, Checkpoints
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.faults import as_outbox_error, is_away, is_lost_race, leaves_doubt

T = TypeVar("T")
log = logging.getLogger(__name__)

#: KiB of pages that the writer's connection keeps.
CACHE = 4096
#: Pieces of work that share one commit at most.
MOST_IN_A_BATCH = 256
#: Times that a PostgreSQL transaction is run when it loses a deadlock or a serialisation.
TRIES = 3


@dataclass(eq=False)
class Work(Generic[T]):
    """A piece of work that waits for its commit. Works of one `merge` run as a single call."""

    move: Move
    run: Callable[[], T] | None
    future: "Future[T]"
    durable: bool = True
    merge: Callable[[list[Any]], list[Any]] | None = None
    item: Any = None


class Writer:
    """One thread with one connection that commits in groups."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="writer", daemon=True)
        self._full_sync = True
        self._prepared: Any = None  # the SQLite connection that has the writer's cache
        self._checkpoints = Checkpoints()
        self._thread.start()

    def submit(self, move: Move, run: Callable[[], T], *, durable: bool = True) -> "Future[T]":
        """Queue `run`; the future has its result once the commit is done, or what stopped it."""
        work = Work(move, run, Future(), durable)
        self._queue.put(work)
        return work.future

    def submit_merged(self, move: Move, merge: Callable[[list[Any]], list[Any]], item: Any) -> "Future[Any]":
        """Queue `item` for `merge`, which takes all items that wait and returns a result for each."""
        work: Work[Any] = Work(move, None, Future(), merge=merge, item=item)
        self._queue.put(work)
        return work.future

    def is_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def stop(self, timeout: float = 10.0) -> None:
        """Finish what is queued and end the thread, waiting `timeout` seconds at most."""
        self._queue.put(None)
        self._thread.join(timeout)
        self._checkpoints.stop()

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            batch: list[Work[Any]] = []
            item = self._queue.get()
            while True:
                stopping = item is None
                if item is not None:
                    batch.append(item)
                if stopping or len(batch) >= MOST_IN_A_BATCH or self._queue.empty():
                    break
                item = self._queue.get()
            if batch:
                self._write(batch)
        connection.close()

    def _write(self, batch: list[Work[Any]], *, again: bool = False) -> Exception | None:
        """Commit `batch` at once, or, when that fails, each piece alone: a poison mail fails alone.

        Returns the error where nothing was written. `again` is the second time for this work.
        """
        try:
            started = time.monotonic()
            results = self._transaction(batch)
            metrics.WRITER_BATCH.observe(len(batch))
            metrics.WRITER_SECONDS.observe(time.monotonic() - started)
        except Exception as error:  # noqa: BLE001 - whatever it was, every future must learn of it
            drop_connection_after(error)
            # A connection that was lost tells nothing of the commit: the second time finds out.
            doubt = leaves_doubt(error) and not again
            if doubt or (len(batch) > 1 and not is_away(error)):
                self._write_each(batch)
            else:
                for work in batch:
                    _refuse(work, error)
            return error
        if connection.vendor == "sqlite":
            self._checkpoints.wrote(sum(LARGE if work.move is Move.STORE_CHUNK else 1 for work in batch))
        for work in batch:
            failpoints.hit(f"{work.move}.after")
        for work, result in zip(batch, results, strict=True):
            _tell(work, result)
        return None

    def _write_each(self, batch: list[Work[Any]]) -> None:
        """Write each piece alone; where the database itself is away, one more try is enough for all."""
        away: Exception | None = None
        for work in batch:
            if away is not None:
                _refuse(work, away)
                continue
            error = self._write([work], again=True)
            away = error if error is not None and is_away(error) else None

    def _transaction(self, batch: list[Work[Any]]) -> list[Any]:
        """Run all of `batch` in one transaction; return the result of each, or the exception that it has."""
        self._sync(full=any(work.durable for work in batch))
        with transaction.atomic(durable=True):
            for work in batch:
                failpoints.hit(f"{work.move}.before")
            results: dict[Work[Any], Any] = {}
            for group in _groups(batch):
                results.update(zip(group, _run(group), strict=True))
        return [results[work] for work in batch]

    def _sync(self, *, full: bool) -> None:
        """Choose whether SQLite's next commit waits for the disk; it cannot be changed inside one."""
        if connection.vendor != "sqlite":
            return
        self._prepare()
        if full != self._full_sync:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full_sync = full

    def _prepare(self) -> None:
        """Give a new connection of SQLite more memory for pages than those that only read have."""
        connection.ensure_connection()
        if self._prepared is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA cache_size=-{CACHE}")
        self._prepared, self._full_sync = connection.connection, True


def _groups(batch: list[Work[Any]]) -> list[list[Work[Any]]]:
    """Put works of one `merge` together, the others by themselves, in the order of their arrival."""
    groups: dict[Any, list[Work[Any]]] = {}
    for work in batch:
        groups.setdefault(work.merge or work, []).append(work)
    return list(groups.values())


def _run(group: list[Work[Any]]) -> list[Any]:
    """Run one group; a merge returns an exception for what it refuses by itself."""
    first = group[0]
    if first.merge is not None:
        return first.merge([work.item for work in group])
    assert first.run is not None
    return [first.run()]


def _tell(work: Work[Any], result: Any) -> None:
    if isinstance(result, Exception):
        _refuse(work, result)
    elif work.future.set_running_or_notify_cancel():
        work.future.set_result(result)


def _refuse(work: Work[Any], error: Exception) -> None:
    if work.future.set_running_or_notify_cancel():
        work.future.set_exception(as_outbox_error(error))


# --- The process's writer ------------------------------------------------------------------------------

_writer: Writer | None = None
_writer_pid = 0
_writer_lock = threading.Lock()


def process_writer() -> Writer:
    """Return this process's writer; a forked child makes its own."""
    global _writer, _writer_pid
    with _writer_lock:
        if _writer is None or _writer_pid != os.getpid():
            _writer, _writer_pid = Writer(), os.getpid()
        return _writer


def stop_process_writer() -> None:
    global _writer
    with _writer_lock:
        writer, _writer = _writer, None
    if writer is not None:
        writer.stop()


def write(move: Move, run: Callable[[], T], *, durable: bool = True) -> T:
    """Run `run` in a transaction and return its result after the commit.

    Raises OutboxError (StorageFullError) when the database is at fault, and whatever `run` raises.
    """
    if connection.vendor == "sqlite":
        writer = process_writer()
        if not writer.is_current_thread():
            return writer.submit(move, run, durable=durable).result()
    return _write_here(move, run, durable=durable)


def _write_here(move: Move, run: Callable[[], T], *, durable: bool) -> T:
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic():
                failpoints.hit(f"{move}.before")
                if not durable and connection.vendor == "postgresql":
                    with connection.cursor() as cursor:
                        cursor.execute("SET LOCAL synchronous_commit=off")
                result = run()
            failpoints.hit(f"{move}.after")
            return result
        except (DatabaseError, InterfaceError) as error:
            if is_lost_race(error) and attempt < TRIES and not connection.in_atomic_block:
                continue
            drop_connection_after(error)
            raise as_outbox_error(error) from error
    raise AssertionError("unreachable")
