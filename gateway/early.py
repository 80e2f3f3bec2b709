"""The settings that a process needs before Django: where its files are, and where its probes are served."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import database, listeners
from gateway.env import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

HttpAddress = tuple[str, int]


@dataclass(frozen=True)
class Files:
    """Where this process keeps its data; `database` is Django's DATABASES entry."""

    data_dir: Path
    database: dict[str, Any]
    #: Seconds for which a second gateway waits for DATA_DIR.
    lock_wait: int

    @property
    def embedded(self) -> bool:
        """Whether the database is the SQLite file of this process."""
        return str(self.database["ENGINE"]).endswith("sqlite3")

    @property
    def database_file(self) -> Path:
        """The SQLite file, where the database is embedded."""
        return Path(self.database["NAME"])


def files(env: Environment) -> Files:
    """Declare and read DATA_DIR, DATABASE_URL and DATA_DIR_LOCK_WAIT."""
    data_dir = env.parsed(
        "DATA_DIR",
        "data/",
        lambda text: (BASE_DIR / text).resolve(),
        kind="path",
        help="Directory for everything that the embedded default writes; on a disk of this machine",
        fallback=BASE_DIR / "data",
    )
    entry = env.parsed(
        "DATABASE_URL",
        "",
        _database(data_dir),
        kind="URL",
        help="postgres://user:password@host:5432/name, or nothing for SQLite in DATA_DIR",
        fallback=database.sqlite(data_dir / "gateway.sqlite3"),
        shown="SQLite in `DATA_DIR`",
        secret=True,
    )
    wait = env.integer(
        "DATA_DIR_LOCK_WAIT",
        60,
        help="How long a second rungateway waits for the first to let go of DATA_DIR, in seconds",
    )
    return Files(data_dir, entry, wait)


def _database(data_dir: Path) -> Callable[[str], dict[str, Any]]:
    return lambda text: database.from_url(text, data_dir)


def http_listen(env: Environment) -> HttpAddress | None:
    """Declare and read HTTP_LISTEN; None is `off`."""
    return env.parsed(
        "HTTP_LISTEN",
        "127.0.0.1:8080",
        listeners.http_address,
        kind="host:port",
        help="Where /health, /ready and /metrics are served (and /admin/ by rungateway); `off` for none",
        fallback=("127.0.0.1", 8080),
    )
