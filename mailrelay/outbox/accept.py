"""Accept: a message, its recipients, its deliveries and its content commit together, or not at all.

Sessions that wait at the same time share one commit. Content beyond one chunk is stored ahead in short
transactions that nothing refers to yet, so that no lock is held for the length of a large mail; what a
crash leaves of it is swept.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from itertools import islice
from uuid import UUID

from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, Recipient
from mailrelay.outbox import clock, counters
from mailrelay.outbox.errors import DisownedError, OutboxError
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.submission import CHUNK_SIZE, Submission
from mailrelay.outbox.writer import process_writer, write
from mailrelay.vocabulary import State

#: Large contents that are copied into the database at the same time.
COPIERS = 2


class Acceptor:
    """Takes submissions from the listener; `accepted` is told the mailbox of each one that is committed."""

    def __init__(self, accepted: Callable[[int], None] = lambda _: None) -> None:
        self._accepted = accepted
        self._copiers = ThreadPoolExecutor(COPIERS, thread_name_prefix="content")
        self._disowned: set[UUID] = set()
        self._lock = threading.Lock()

    def submit(self, submission: Submission) -> "Future[None]":
        """Store `submission`; the future ends when it is committed, or with what stopped it."""
        if submission.content.size > CHUNK_SIZE:
            return self._copiers.submit(self._store_large, submission)
        outcome: Future[None] = Future()
        data = b"".join(submission.content.chunks(CHUNK_SIZE))
        inserted = process_writer().submit_merged(Move.ACCEPT, self._insert, (submission, data))
        inserted.add_done_callback(lambda done: self._finish(submission, done, outcome))
        return outcome

    def disown(self, queue_id: UUID) -> None:
        """Give up a submission whose outcome is not known: the client was told to try again."""
        with self._lock:
            self._disowned.add(queue_id)

    def close(self) -> None:
        self._copiers.shutdown(wait=True)

    def _store_large(self, submission: Submission) -> None:
        now = clock.now()
        try:
            for number, data in enumerate(submission.content.chunks(CHUNK_SIZE)):
                self._refuse_disowned(submission.id)
                write(Move.STORE_CHUNK, _storing(submission.id, number, data, now), durable=False)
            done = process_writer().submit_merged(Move.ACCEPT, self._insert, (submission, None))
            mailbox_id = done.result()
        except BaseException:
            # Where the database is at fault, what was stored so far is swept later.
            with suppress(OutboxError):
                write(Move.WITHDRAW, lambda: _remove(submission.id), durable=False)
            raise
        self._after_commit(submission, mailbox_id)

    def _insert(self, batch: list[tuple[Submission, bytes | None]]) -> list[int]:
        """Insert the rows of all submissions in a handful of statements; return the mailbox of each."""
        for submission, _ in batch:
            self._refuse_disowned(submission.id)
        now = clock.now()
        boxes = _mailboxes(submission for submission, _ in batch)
        mailboxes = [boxes[s.registration_id, s.mailbox_address] for s, _ in batch]
        Message.objects.bulk_create([_message(submission, now) for submission, _ in batch])
        ContentChunk.objects.bulk_create(
            ContentChunk(content=submission.id, number=0, data=data, created_at=now)
            for submission, data in batch
            if data is not None
        )
        parts = [
            (submission, part, mailbox.pk)
            for (submission, _), mailbox in zip(batch, mailboxes, strict=True)
            for part in _parts(submission.recipients, mailbox.recipients_per_message)
        ]
        deliveries = Delivery.objects.bulk_create(
            _delivery(submission, mailbox_id, len(part), now) for submission, part, mailbox_id in parts
        )
        Recipient.objects.bulk_create(
            Recipient(
                message_id=submission.id, delivery=delivery, address=address, address_key=address.lower()
            )
            for (submission, part, _), delivery in zip(parts, deliveries, strict=True)
            for address in part
        )
        counters.add(counters.ACCEPTED, len(batch))
        return [mailbox.pk for mailbox in mailboxes]

    def _finish(self, submission: Submission, done: "Future[int]", outcome: "Future[None]") -> None:
        error = done.exception()
        if error is None:
            try:
                self._after_commit(submission, done.result())
            except DisownedError as late:
                error = late
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def _after_commit(self, submission: Submission, mailbox_id: int) -> None:
        if self._is_disowned(submission.id):
            # The commit went through after the client was told 451: take it back before anyone claims it.
            process_writer().submit(Move.WITHDRAW, lambda: _withdraw(submission.id))
            raise DisownedError("The commit came too late; the client was told to try again.")
        self._accepted(mailbox_id)

    def _refuse_disowned(self, queue_id: UUID) -> None:
        if self._is_disowned(queue_id):
            raise DisownedError("The client was told to try again.")

    def _is_disowned(self, queue_id: UUID) -> bool:
        with self._lock:
            return queue_id in self._disowned


def _parts(recipients: tuple[str, ...], most: int) -> Iterable[tuple[str, ...]]:
    """Split recipients into what one message through the mailbox may have."""
    rest = iter(recipients)
    while part := tuple(islice(rest, most)):
        yield part


def _mailboxes(submissions: Iterable[Submission]) -> dict[tuple[int, str], Mailbox]:
    """Find the mailbox of each submission; one that a From address names for the first time is made."""
    wanted = {(submission.registration_id, submission.mailbox_address) for submission in submissions}
    rows = Mailbox.objects.filter(
        registration_id__in={key[0] for key in wanted}, address__in={key[1] for key in wanted}
    )
    found = {
        (row.registration_id, row.address): row
        for row in rows.only("registration_id", "address", "recipients_per_message")
    }
    for registration_id, address in wanted - found.keys():
        found[registration_id, address], _ = Mailbox.objects.get_or_create(
            registration_id=registration_id, address=address
        )
    return found


def _message(submission: Submission, now: datetime) -> Message:
    return Message(
        id=submission.id,
        created_at=now,
        client_id=submission.client_id,
        client_address=submission.client_address,
        client_name=submission.client_name,
        mail_from=submission.mail_from,
        header_from=submission.header_from,
        subject=submission.subject,
        message_id=submission.message_id,
        message_id_key=submission.message_id.lower(),
        from_key=submission.header_from.lower(),
        sender_id=submission.sender_id,
        size=submission.content.size,
        recipient_count=len(submission.recipients),
        state=State.QUEUED,
        state_at=now,
    )


def _delivery(submission: Submission, mailbox_id: int, recipients: int, now: datetime) -> Delivery:
    return Delivery(
        message_id=submission.id,
        sender_id=submission.sender_id,
        mailbox_id=mailbox_id,
        created_at=now,
        size=submission.content.size,
        recipient_count=recipients,
        urgency=submission.urgency,
        route=submission.route,
        client_key=submission.client_key,
    )


def _storing(content: UUID, number: int, data: bytes, now: datetime) -> Callable[[], None]:
    def run() -> None:
        ContentChunk.objects.create(content=content, number=number, data=data, created_at=now)

    return run


def _remove(content: UUID) -> None:
    ContentChunk.objects.filter(content=content).delete()


def _withdraw(queue_id: UUID) -> None:
    """Delete a message that nobody began to send; one that is under way stays, and is a second copy."""
    begun = Delivery.objects.filter(message_id=queue_id).exclude(state=State.QUEUED)
    if not begun.exists():
        Message.objects.filter(pk=queue_id).delete()
        _remove(queue_id)
        counters.add(counters.DISOWNED)
