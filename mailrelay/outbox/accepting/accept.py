"""Accept: a message, its recipients, its deliveries and its content commit together, or not at all.

Sessions that wait at the same time share one commit. Content beyond one chunk is stored ahead in short
transactions that nothing refers to yet, so that no lock is held for the length of a large mail; what a
crash leaves of it is swept.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from uuid import UUID

from mailrelay import memory, metrics
from mailrelay.models import ContentChunk
from mailrelay.outbox.accepting import duplicates, idempotency
from mailrelay.outbox.accepting.outage import Outage
from mailrelay.outbox.accepting.storing import Arrived, Store, store_chunks
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import process_writer, write
from mailrelay.outbox.errors import DatabaseAwayError, DisownedError
from mailrelay.outbox.submission import CHUNK_SIZE, Submission

#: Chunks that share a transaction: each costs a turn of the writer, and its lock is held for all of them.
CHUNKS_AT_ONCE = 4
#: Large contents that are copied into the database at the same time.
COPIERS = 2
TOO_LATE = "The client was told to try again."


class Acceptor:
    """Takes submissions from the listener; `accepted` is told the mailbox of each one that is committed."""

    def __init__(self, accepted: Callable[[int], None] = lambda _: None) -> None:
        self._accepted = accepted
        self._copiers = ThreadPoolExecutor(COPIERS, thread_name_prefix="content")
        self._store = Store()
        self._outage = Outage()
        self._disowned: set[UUID] = set()
        self._lock = threading.Lock()

    @property
    def stalled(self) -> bool:
        """Whether the database takes no writes now, so that mail is better sent again later."""
        return self._outage.lasts

    def submit(self, submission: Submission) -> "Future[None]":
        """Store `submission`; the future ends when it is committed, or with what stopped it."""
        if self.stalled:
            return _failed(DatabaseAwayError("The database takes no writes now; it is tried every second."))
        outcome: Future[None] = Future()
        metrics.COMMITS_AWAITED.inc()
        outcome.add_done_callback(lambda _: metrics.COMMITS_AWAITED.dec())
        if submission.content.size > CHUNK_SIZE:
            self._copiers.submit(self._store_large, submission, outcome)
        else:
            data = b"".join(submission.content.chunks(CHUNK_SIZE))
            self._commit(submission, data, partial(self._finish, submission, outcome))
        return outcome

    def disown(self, queue_id: UUID, outcome: "Future[None]") -> bool:
        """Give up a submission whose `outcome` is not known, so that its client can be told to try again.

        Returns False where the outcome has come by now, and holds.
        """
        with self._lock:
            if outcome.done():
                return False
            self._disowned.add(queue_id)
        self._outage.begin()
        return True

    def close(self) -> None:
        self._copiers.shutdown(wait=True)
        self._outage.close()

    def _commit(
        self, submission: Submission, data: bytes | None, then: "Callable[[Future[int]], None]"
    ) -> None:
        work = process_writer().submit_merged(Move.ACCEPT, self._insert, Arrived(submission, data))
        work.add_done_callback(then)

    def _insert(self, mails: list[Arrived]) -> list[int | Exception]:
        """Store all that is still wanted; return the mailbox of each, or why it is not stored."""
        given_up = self._given_up(mails)
        wanted = [mail for mail in mails if mail.submission.id not in given_up]
        repeated = idempotency.among([mail.submission for mail in wanted])
        keyed = [mail for mail in wanted if mail.submission.id not in repeated]
        again = duplicates.among([mail.submission for mail in keyed])
        new = [mail for mail in keyed if mail.submission.id not in again.repeated]
        found: dict[UUID, int | Exception] = {**repeated, **again.repeated, **self._store.insert(new)}
        idempotency.note([mail.submission for mail in new])
        duplicates.note(again)
        return [found.get(mail.submission.id, DisownedError(TOO_LATE)) for mail in mails]

    def _store_large(self, submission: Submission, outcome: "Future[None]") -> None:
        try:
            numbered = enumerate(submission.content.chunks(CHUNK_SIZE))
            while pieces := list(islice(numbered, CHUNKS_AT_ONCE)):
                self._refuse_disowned(submission.id)
                write(
                    Move.STORE_CHUNK,
                    partial(store_chunks, submission.id, pieces, clock.now()),
                    durable=memory.scarce(),  # pages that wait for the disk count as memory
                )
        except Exception as error:  # noqa: BLE001 - whatever it was, the session must learn of it
            self._fail(submission, outcome, error)
        else:
            self._commit(submission, None, partial(self._finish, submission, outcome))

    def _finish(self, submission: Submission, outcome: "Future[None]", done: "Future[int]") -> None:
        error = done.exception()
        if error is not None:
            self._fail(submission, outcome, error)
            return
        with self._lock:
            late = submission.id in self._disowned
            self._disowned.discard(submission.id)
            if not late:
                # Before anybody can disown it: from here on its client is told 250.
                outcome.set_result(None)
        if late:
            # The commit went through after the client was told 451: take it back before anyone claims it.
            self._outage.begin(submission.id)
            outcome.set_exception(DisownedError(TOO_LATE))
        else:
            self._accepted(done.result())

    def _fail(self, submission: Submission, outcome: "Future[None]", error: BaseException) -> None:
        if isinstance(error, DatabaseAwayError):
            self._outage.begin(submission.id)
        elif submission.content.size > CHUNK_SIZE:
            # What the database does not remove now is swept later.
            process_writer().submit(Move.WITHDRAW, partial(_remove, submission.id), durable=False)
        with self._lock:
            self._disowned.discard(submission.id)
            outcome.set_exception(error)

    def _refuse_disowned(self, queue_id: UUID) -> None:
        with self._lock:
            if queue_id in self._disowned:
                raise DisownedError(TOO_LATE)

    def _given_up(self, mails: list[Arrived]) -> set[UUID]:
        with self._lock:
            return {mail.submission.id for mail in mails} & self._disowned if self._disowned else set()


def _failed(error: Exception) -> "Future[None]":
    outcome: Future[None] = Future()
    outcome.set_exception(error)
    return outcome


def _remove(content: UUID) -> None:
    ContentChunk.objects.filter(content=content).delete()
