"""The database's time: what decides leases and pauses must not differ between hosts.

PostgreSQL's clock is asked once in a while and carried forward by this host's monotonic clock, so that a
step of the wall clock here moves nothing. It told its time at some moment between question and answer: the
middle is off by half of that at most, and an answer that took long is asked for again. SQLite lives on this
host: its time is ours.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

from django.db import connection

#: Seconds for which one reading of the server's clock is trusted; hosts drift apart far more slowly.
TRUSTED = 60.0
#: Seconds that an answer may take to be as exact as need be, and how often it is asked for one.
PROMPT = 0.1
TRIES = 3

_lock = threading.Lock()
_reading: tuple[float, datetime] | None = None


def now() -> datetime:
    """Return the database's present time, in UTC. Raises django.db.Error when it has to ask and cannot."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    reading = _reading
    if reading is None or time.monotonic() - reading[0] > TRUSTED:
        reading = _ask()
    return reading[1] + timedelta(seconds=time.monotonic() - reading[0])


def ask() -> datetime:
    """Return the time that the database tells now, whatever it told before. Raises django.db.Error."""
    if connection.vendor == "postgresql":
        _ask()
    return now()


def _ask() -> tuple[float, datetime]:
    global _reading  # noqa: PLW0603 - one reading a process is the point
    took, reading = _read()
    for _ in range(TRIES - 1):
        if took > PROMPT:
            took, reading = min((took, reading), _read())
    with _lock:
        _reading = reading
    return reading


def _read() -> tuple[float, tuple[float, datetime]]:
    """Ask the server once; return the seconds that it took, and the reading."""
    with connection.cursor() as cursor:
        before = time.monotonic()
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
        took = time.monotonic() - before
    assert row is not None
    return took, (before + took / 2, row[0].astimezone(UTC))


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)
