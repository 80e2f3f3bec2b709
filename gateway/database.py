"""`DATABASE_URL` and the embedded SQLite file as Django's DATABASES entry."""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from gateway.texts import PORT, UNREADABLE

#: Run on every new SQLite connection. page_size and auto_vacuum must come before the first table and before
#: WAL, and change nothing later; pages of 8 KiB take large mail a fifth faster than those of 4 and small mail
#: as fast. FULL is what makes a 250 survive a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
#: Each thread has a connection, and each cache is filled by a large mail: the writer alone has more.
#: A commit moves the log into the database only beyond 48 MiB; mailrelay.outbox.db.checkpoints does before.
SQLITE_PRAGMAS = (
    "PRAGMA page_size=8192;"
    "PRAGMA auto_vacuum=INCREMENTAL;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=6144;"
    "PRAGMA journal_size_limit=67108864;"
    "PRAGMA cache_size=-1024;"
)


POSTGRESQL_OPTIONS = "-c synchronous_commit=on -c idle_in_transaction_session_timeout=30000"


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": SQLITE_PRAGMAS},
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }


def postgresql(url: str) -> dict[str, Any]:
    """Parse `postgres://user:password@host:port/name?option=value`.

    Raises ValueError with a sentence. A dead server is noticed within ten seconds, since an
    accept has to answer by then.
    """
    parts = _split(url)
    name = unquote(parts.path.lstrip("/"))
    try:
        port = parts.port
    except ValueError:
        # urllib quotes what it took for the port, which may be the end of a password with a # in it.
        raise ValueError(PORT) from None
    if not name:
        raise ValueError("The URL names no database: write postgres://user:password@host:5432/name.")
    options: dict[str, Any] = {
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "application_name": "graph-mail-gateway",
        "options": POSTGRESQL_OPTIONS,
    }
    query = dict(parse_qsl(parts.query))
    # The second time that a connection runs one of the queue's statements, the server keeps its plan.
    threshold = query.pop("prepare_threshold", "1")
    if threshold != "none" and not (threshold.isascii() and threshold.isdigit()):
        raise ValueError("The prepare_threshold of the URL is neither a number nor none.")
    options["prepare_threshold"] = None if threshold == "none" else int(threshold)
    # A socket directory cannot stand in the authority of a URL: libpq's own ?host= is the way to say it.
    host = query.pop("host", None) or parts.hostname or ""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": options | query,
    }


def from_url(url: str, data_dir: Path) -> dict[str, Any]:
    """Turn `DATABASE_URL` into a DATABASES entry; the empty string is SQLite in `data_dir`."""
    scheme = _split(url).scheme
    if not url:
        return sqlite(data_dir / "gateway.sqlite3")
    if scheme == "sqlite":
        path = Path(unquote(urlsplit(url).path))
        if not path.name:
            raise ValueError("The URL names no file: write sqlite:////path/of/the/file.")
        return sqlite(path)
    if scheme in {"postgres", "postgresql"}:
        return postgresql(url)
    raise ValueError("This is no database: write a URL that starts with postgres:// or sqlite:///.")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # urllib quotes what it could not read, which may be a password
        raise ValueError(UNREADABLE) from None
