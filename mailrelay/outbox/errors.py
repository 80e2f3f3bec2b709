"""Errors of the queue of record."""

from uuid import UUID

from mailrelay.database import PassingError


class OutboxError(PassingError):
    """The queue could not do what was asked; nothing of it was stored."""


class StorageFullError(OutboxError):
    """The disk or the database has no room left: 452 4.3.1."""


class DisownedError(OutboxError):
    """The outcome was not known in time, the client was told 451, and the mail must not be sent."""


class ContentRemovedError(OutboxError):
    """Retention has removed the bytes of a message; its record stays."""


class ContentNotWholeError(ContentRemovedError):
    """Bytes of a message are missing; what is left of it must not go for the whole."""

    def __init__(self, found: int, size: int) -> None:
        super().__init__(f"Of the {size} bytes of this message {found} are stored: it is not sent in part.")


class LeaseLostError(OutboxError):
    """Someone else holds the delivery now; what was being done for it must not go on."""


class DatabaseAwayError(OutboxError):
    """The database takes no writes now; what was being committed as it went may have been stored."""


class RepeatedError(OutboxError):
    """The submission, or its key, was taken before as the message `queue_id`; `same` says: the same mail."""

    def __init__(self, queue_id: UUID, *, same: bool) -> None:
        super().__init__(f"This was taken before, as {queue_id.hex}.")
        self.queue_id = queue_id
        self.same = same
