"""What every process makes sure of before it starts, in sentences rather than tracebacks."""

import fcntl
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core import checks
from django.core.management.base import CommandError
from django.db import DatabaseError, IntegrityError, connection

from gateway.checks import TAG
from mailrelay.configuration.field_keys import unreadable
from mailrelay.health.readiness import pending_migrations

#: Seconds between two tries to lock DATA_DIR.
LOCK_STEP = 0.2


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


def refuse_wrong_field_key() -> None:
    """Raise CommandError where a stored secret cannot be opened: what is ciphertext must never be used."""
    lost = unreadable()
    if lost:
        raise CommandError(
            f"FIELD_ENCRYPTION_KEYS opens neither the {' nor the '.join(lost[:3])}. Put the key that it was "
            "saved under back at the end of the list; `manage.py rotate_field_keys` then renews what is "
            "stored. (gateway.E020)"
        )


def refuse_foreign_database(instead: str) -> None:
    """Raise CommandError where the database is not the embedded one; `instead` is what does it there."""
    if not settings.EMBEDDED:
        raise CommandError(f"This is for the embedded SQLite database. With PostgreSQL: {instead}")


def refuse_unmigrated() -> None:
    """Raise CommandError unless the database is there and has this version's tables."""
    try:
        pending = pending_migrations()
    except DatabaseError as error:
        raise CommandError(
            f"The database cannot be used: {_one_line(error)} "
            "Check DATABASE_URL and that the server runs. (gateway.E012)"
        ) from None
    if pending:
        raise CommandError(
            f"{len(pending)} migrations have not been applied ({', '.join(pending[:3])} …). "
            "Run manage.py migrate first. (gateway.E013)"
        )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "?")) else f"{text}."


def lock_data_dir(stopped: threading.Event) -> IO[str] | None:
    """Hold the lock that keeps a second all-in-one out of DATA_DIR, for as long as the file is open.

    Waits for a predecessor that is about to end; None when `stopped` is set meanwhile. Raises CommandError
    after DATA_DIR_LOCK_WAIT seconds.
    """
    file = _open(settings.DATA_DIR / "gateway.lock")
    end = time.monotonic() + settings.DATA_DIR_LOCK_WAIT
    while not stopped.is_set():
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= end:
                raise CommandError(
                    f"Another gateway uses {settings.DATA_DIR}: stop it first, or give this one "
                    "a DATA_DIR of its own. (gateway.E014)"
                ) from None
            stopped.wait(LOCK_STEP)
        else:
            return file
    return None


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise CommandError(
            f"{path.parent} cannot be written: {error.strerror}. "
            "Point DATA_DIR at a directory that this user may write. (gateway.E015)"
        ) from None


def migrate_embedded() -> None:
    """Bring the embedded SQLite file to this version; a database of others' is theirs to migrate."""
    if not settings.EMBEDDED:
        refuse_unmigrated()
        return
    try:
        if pending_migrations():
            _migrate()
    except DatabaseError as error:
        raise CommandError(
            f"The database in {settings.DATA_DIR} cannot be used: {_one_line(error)} (gateway.E012)"
        ) from None
    finally:
        connection.close()


def _migrate() -> None:
    """Apply the migrations, in a process of their own: what they take of memory, this one would keep.

    Raises DatabaseError with what the other process said last.
    """
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise DatabaseError(said or f"migrate ended with {done.returncode}")


def first_administrator() -> str | None:
    """Make the first administrator where there is none; return the file that its password is in.

    The password comes from DJANGO_SUPERUSER_PASSWORD, and no file is written then. Raises DatabaseError, and
    OSError where the file cannot be written; there is no administrator then.
    """
    from django.contrib.auth import get_user_model

    users: Any = get_user_model().objects
    if users.exists():
        return None
    name, email = settings.DJANGO_SUPERUSER_USERNAME, settings.DJANGO_SUPERUSER_EMAIL
    if settings.DJANGO_SUPERUSER_PASSWORD:
        users.create_superuser(name, email, settings.DJANGO_SUPERUSER_PASSWORD)
        return None
    password = secrets.token_urlsafe(16)
    # The file first: an administrator whose password nobody knows could not be mended by a restart.
    path = settings.DATA_DIR / "admin-password"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"{password}\n", encoding="ascii")
    try:
        users.create_superuser(name, email, password)
    except IntegrityError:
        path.unlink()  # another process made one at the same moment
        return None
    return str(path)
