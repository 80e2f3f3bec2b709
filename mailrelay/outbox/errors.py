"""What can go wrong with the queue of record."""


class OutboxError(Exception):
    """The queue could not do what was asked; nothing of it was stored."""


class StorageFullError(OutboxError):
    """The disk or the database has no room left: 452 4.3.1."""


class DisownedError(OutboxError):
    """The outcome was not known in time, the client was told 451, and the mail must not be sent."""


class ContentRemovedError(OutboxError):
    """Retention has removed the bytes of a message; its record stays."""


class LeaseLostError(OutboxError):
    """Someone else holds the delivery now; what was being done for it must not go on."""


class DatabaseAwayError(OutboxError):
    """The database takes no writes now; what was being committed as it went may have been stored."""
