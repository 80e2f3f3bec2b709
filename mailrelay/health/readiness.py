"""Checks whether this process may be given mail: made by a thread, answered from memory.

The mission's meaning of ready: the database takes writes, there is room for a mail in transfer, and the
default sender has a token, or had one within a day and only a passing fault keeps the next away.
"""

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection

from mailrelay.models import AppRegistration, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.routing.watch import of_process
from mailrelay.schema import Schema

#: Free bytes below which the listener takes no mail, at most a tenth of the disk (mailrelay.smtp.options).
LEAST_FREE_BYTES = 64 * 1024 * 1024
#: How long after its last token a credential counts as working while Entra ID is out of reach.
TOKEN_MEMORY = timedelta(hours=24)

#: Seconds after which the configuration in memory is too old: it is read every two.
CONFIGURATION_AGE = 30.0

OK = "ok"

_migrated = False


def database() -> str:
    """Ask whether a write would be taken, without writing anything."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean")
            row = cursor.fetchone()
            if row and row[0]:
                return "the database is read-only"
    return OK if _is_migrated() else "migrations have not been applied: run manage.py migrate"


def tables_seen() -> bool:
    """Whether a look at the database has found this version's tables."""
    return _migrated


def _is_migrated() -> bool:
    global _migrated  # noqa: PLW0603 - once true it stays true for this process
    if not _migrated:
        _migrated = not pending_migrations()
    return _migrated


def pending_migrations() -> list[str]:
    """List the migrations that this version brings and the database lacks.

    Raises django.db.DatabaseError.
    """
    applied: set[tuple[str, str]] = set()
    with connection.cursor() as cursor:
        if "django_migrations" in connection.introspection.table_names(cursor):
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    return Schema(settings.BASE_DIR, settings.INSTALLED_APPS).missing(applied)


def spool() -> str:
    """Look at the room for what is in transfer and, with SQLite, for what is stored."""
    path = settings.DATA_DIR if settings.DATA_DIR.exists() else Path(tempfile.gettempdir())
    usage = shutil.disk_usage(path)
    if usage.free < min(LEAST_FREE_BYTES, usage.total // 10):
        return f"only {usage.free // 2**20} MiB are free on the disk of {path}"
    return OK


def token() -> str:
    """Look at how the default sender's credential fares, as the workers have noted it."""
    sender = (
        SenderConfig.objects.filter(is_default=True, active=True)
        .select_related("mailbox__registration")
        .first()
    )
    if sender is None:
        return "no default sender is configured"
    return _of(sender.mailbox.registration)


def _of(registration: AppRegistration) -> str:
    now = clock.now()
    if registration.token_refused:
        return f"Entra ID refused the credential of {registration.name}: {registration.token_error}"
    if registration.token_expires_at is not None and registration.token_expires_at > now:
        return OK
    succeeded = registration.token_succeeded_at
    if succeeded is None:
        return f"{registration.name} has not had a token yet {registration.token_error}".strip()
    if now - succeeded > TOKEN_MEMORY:
        return f"{registration.name} has had no token for a day: {registration.token_error}"
    return OK


def configuration() -> str:
    """Look at how old the senders and clients are that this process goes by, if it takes mail."""
    watch = of_process()
    if watch is not None and watch.age > CONFIGURATION_AGE:
        return (
            f"senders and clients were read {watch.age:.0f} seconds ago; changes since then do not count yet"
        )
    return OK


CHECKS: dict[str, Callable[[], str]] = {
    "database": database,
    "spool": spool,
    "token": token,
    "configuration": configuration,
}
