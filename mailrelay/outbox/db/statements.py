"""Statements that run several times for every mail, as SQL that both databases take.

Django's query compiler needs ten times as long for one of them as the database does; where mail by the
thousand passes, that is what the machine would do all day. Everything else goes through models.

PostgreSQL plans each of them once a connection (`cursor`): planning takes it as long again as the rest.
"""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import connection


def cursor() -> AbstractContextManager[Any]:
    """Open a cursor whose statements PostgreSQL keeps prepared; SQLite's driver does so by itself.

    Django's own binds values in the client, so that each statement is a new one for the server.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    from psycopg import Cursor

    connection.ensure_connection()
    wrapped: Any = connection
    opened: AbstractContextManager[Any] = wrapped._prepare_cursor(Cursor(wrapped.connection))  # noqa: SLF001 - what cursor() does with its own
    return opened


def changed(sql: str, *values: Any) -> int:
    """Run an UPDATE and return the number of rows that it changed."""
    with cursor() as opened:
        opened.execute(sql, [_adapted(value) for value in values])
        return int(opened.rowcount)


def first(sql: str, *values: Any) -> tuple[Any, ...] | None:
    """Run a SELECT and return its first row."""
    with cursor() as opened:
        opened.execute(sql, [_adapted(value) for value in values])
        row: tuple[Any, ...] | None = opened.fetchone()
        return row


def every(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a SELECT and return all of its rows."""
    with cursor() as opened:
        opened.execute(sql, [_adapted(value) for value in values])
        rows: list[tuple[Any, ...]] = opened.fetchall()
        return rows


def found(sql: str, *values: Any) -> bool:
    """Whether a SELECT finds anything."""
    return first(sql, *values) is not None


def uuid(value: Any) -> UUID:
    """Read a UUID column, which SQLite keeps as text."""
    return value if isinstance(value, UUID) else UUID(value)


def moment(value: Any) -> datetime:
    """Read the datetime that an expression gave, which SQLite keeps as text, in UTC."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


def for_update() -> str:
    """Return the clause that locks rows and passes over those that someone else has, where there is one."""
    return " FOR NO KEY UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""


def lock(alias: str) -> str:
    """Return the clause that locks the row of one joined table, and waits while another transaction has it.

    NO KEY: inserts that only refer to the row go on.
    """
    return f" FOR NO KEY UPDATE OF {alias}" if connection.vendor == "postgresql" else ""


def _adapted(value: Any) -> Any:
    """Turn a value into what the database's driver takes as it is."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, Enum):
        return value.value
    return value
