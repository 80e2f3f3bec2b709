"""Checks before every start, in sentences rather than tracebacks."""

import secrets
from typing import IO, Any

from django.conf import settings
from django.core import checks
from django.core.management.base import CommandError
from django.db import DatabaseError, IntegrityError

from gateway.checks import TAG
from mailrelay.configuration.field_keys import unreadable
from mailrelay.health.readiness import pending_migrations
from mailrelay.processes import data_dir


def refuse_misconfiguration() -> None:
    """Run the system checks. Raises CommandError with what is wrong and how to fix it."""
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


def refuse_misreading_python() -> None:
    """Raise CommandError where this interpreter would mangle mail, whatever its version says."""
    from mailrelay.mime import selftest  # commands that read no mail do without the parsers

    if wrong := selftest.misread():
        raise CommandError(f"{wrong} {selftest.ADVICE} (gateway.E031)")


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


def lock_data_dir() -> IO[str]:
    """Hold DATA_DIR as `data_dir.lock` does. Raises CommandError with what is wrong and what to do."""
    try:
        return data_dir.lock(settings.DATA_DIR, settings.DATA_DIR_LOCK_WAIT)
    except data_dir.StartError as error:
        raise CommandError(str(error)) from None


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
    # The file first: an administrator whose password nobody knows could not be fixed by a restart.
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
