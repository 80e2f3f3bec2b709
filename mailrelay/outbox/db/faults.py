"""Judges an error of the database: no room, a lost race, the database itself, or the row."""

from django.db import DatabaseError, InterfaceError, OperationalError

from mailrelay.outbox.errors import DatabaseAwayError, OutboxError, StorageFullError

#: SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html): no connection, and a server
#: that ends or starts.
_AWAY = ("08", "57P")
_FULL = "53100"
_RACES = frozenset({"40P01", "40001"})
#: Of https://www.sqlite.org/rescode.html: the file cannot be had now, whatever is written to it.
_SQLITE_AWAY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")


def is_away(error: Exception) -> bool:
    """Whether the database as a whole does not take writes now, whatever they are."""
    name = _sqlite_name(error)
    return name.startswith(_SQLITE_AWAY) if name else leaves_doubt(error)


def leaves_doubt(error: Exception) -> bool:
    """Whether PostgreSQL's answer was lost, so that what was being committed may have been."""
    if not isinstance(error, OperationalError | InterfaceError) or _sqlite_name(error):
        return False
    state = _sqlstate(error)
    return not state or state.startswith(_AWAY)


def is_lost_race(error: Exception) -> bool:
    """Whether PostgreSQL undid the transaction for another's sake: a deadlock, a serialisation."""
    return _sqlstate(error) in _RACES


def as_outbox_error(error: Exception) -> Exception:
    """Name a database's fault in our own words; errors that are not the database's stay as they are."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return error
    if _sqlite_name(error) == "SQLITE_FULL" or _sqlstate(error) == _FULL:
        return StorageFullError("The database has no room left.")
    if is_away(error):
        return DatabaseAwayError(f"The database takes no writes: {type(error).__name__}")
    return OutboxError(f"The database did not take the write: {type(error).__name__}")


def _sqlstate(error: Exception) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _sqlite_name(error: Exception) -> str | None:
    return getattr(error.__cause__, "sqlite_errorname", None)
