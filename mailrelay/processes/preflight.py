"""What every process makes sure of before it starts, in sentences rather than tracebacks."""

import fcntl
import os
import secrets
import time
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from gateway.checks import TAG
from mailrelay.health.readiness import pending_migrations

#: Seconds for which a second process waits for the first to let go of DATA_DIR.
LOCK_WAIT = 60.0


def refuse_misconfiguration() -> None:
    """Run the system checks. Raises CommandError with what is wrong and how to mend it."""
    serious = [found for found in checks.run_checks(tags=[TAG]) if found.is_serious()]
    if serious:
        raise CommandError("\n".join(f"{found.msg} {found.hint or ''} ({found.id})" for found in serious))


def refuse_memory_broker(process: str) -> None:
    """Raise CommandError where tasks would stay in this process's memory, which no worker shares."""
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        raise CommandError(
            f"{process} needs a broker that other processes can reach, but CELERY_BROKER_URL is memory://. "
            "Set it to amqp://… or redis://…, or run everything in one process with manage.py rungateway. "
            "(gateway.E010)"
        )


def refuse_unmigrated() -> None:
    """Raise CommandError unless the database is there and has this version's tables."""
    try:
        pending = pending_migrations()
    except DatabaseError as error:
        raise CommandError(
            f"The database cannot be used: {str(error).strip()} Check DATABASE_URL and that the server runs."
        ) from None
    if pending:
        raise CommandError(
            f"{len(pending)} migrations have not been applied ({', '.join(pending[:3])} …). "
            "Run manage.py migrate first."
        )


def lock_data_dir() -> IO[str]:
    """Hold the lock that keeps a second all-in-one out of DATA_DIR, for as long as the file is open.

    Waits for a predecessor that is about to end. Raises CommandError after LOCK_WAIT seconds.
    """
    path = settings.DATA_DIR / "gateway.lock"
    file = _open(path)
    end = time.monotonic() + float(os.environ.get("DATA_DIR_LOCK_WAIT", LOCK_WAIT))
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= end:
                raise CommandError(
                    f"Another gateway uses {settings.DATA_DIR}: stop it first, or give this one "
                    "a DATA_DIR of its own."
                ) from None
            time.sleep(0.2)
        else:
            return file


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise CommandError(
            f"{path.parent} cannot be written: {error.strerror}. "
            "Point DATA_DIR at a directory that this user may write."
        ) from None


def migrate_embedded() -> None:
    """Bring the embedded SQLite file to this version; a database of others' is theirs to migrate."""
    if not settings.EMBEDDED:
        refuse_unmigrated()
        return
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise CommandError(f"The database in {settings.DATA_DIR} cannot be used: {error}") from None
    finally:
        connection.close()


def first_administrator() -> str | None:
    """Make the first administrator where there is none; return the file that its password is in.

    The password comes from DJANGO_SUPERUSER_PASSWORD, and no file is written then.
    """
    from django.contrib.auth import get_user_model

    users: Any = get_user_model().objects
    if users.exists():
        return None
    password = settings.DJANGO_SUPERUSER_PASSWORD or secrets.token_urlsafe(16)
    users.create_superuser(settings.DJANGO_SUPERUSER_USERNAME, settings.DJANGO_SUPERUSER_EMAIL, password)
    if settings.DJANGO_SUPERUSER_PASSWORD:
        return None
    path = settings.DATA_DIR / "admin-password"
    path.touch(mode=0o600)
    path.write_text(f"{password}\n", encoding="ascii")
    return str(path)
