"""Drops a thread's database connection after a fault."""

import logging

from django.db import DatabaseError, InterfaceError, connection

log = logging.getLogger(__name__)


class PassingError(Exception):
    """A fault that may pass by itself: the caller logs one line without a traceback and tries again."""


def drop_connection_after(error: Exception) -> None:
    """Drop this thread's connection if the database caused `error`; the next query makes a new one."""
    if isinstance(error, DatabaseError | InterfaceError):
        log.warning("database fault, connection dropped: %s: %s", type(error).__name__, first_line(error))
        connection.close()


def first_line(error: Exception) -> str:
    """Return the first line of what `error` says, 200 characters at most."""
    return str(error).partition("\n")[0][:200]
