"""The database: reachable, writable, of this version, and set so that a 250 is a receipt."""

from collections.abc import Iterator

from django.db import DatabaseError, connection

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.health import readiness

CHECK = Check("database")

#: What SQLite's pragmas have to be, and what each is for. Numbers are SQLite's own.
PRAGMAS = {
    "journal_mode": ("wal", "readers and the writer would wait for each other"),
    "synchronous": ("2", "an acknowledged mail could be lost in a power cut"),
    "auto_vacuum": ("2", "the file would never become smaller"),
}


def reachable() -> Iterator[Finding]:
    """Look whether the database answers and takes writes. What follows is in vain unless this is OK."""
    try:
        said = readiness.database()
    except DatabaseError as error:
        yield CHECK.problem(
            f"The database ({_name()}) cannot be used: {_first_line(error)}",
            "Check that the server runs and that DATABASE_URL names its host, database, user and password; "
            "with SQLite, that DATA_DIR can be written and its disk is not full.",
        )
        return
    if "migrate" in said:
        pending = ", ".join(readiness.pending_migrations()[:3])
        yield CHECK.problem(
            f"The database ({_name()}) lacks migrations of this version: {pending} …",
            "Run: manage.py migrate (rungateway does so itself with its embedded database)",
        )
    elif said != readiness.OK:
        yield CHECK.problem(
            f"{said[0].upper()}{said[1:]} ({_name()}).",
            "Point DATABASE_URL at the primary, or end the server's read-only mode.",
        )
    else:
        yield CHECK.ok(f"The database ({_name()}) takes writes and has this version's tables.")


def durability() -> Iterator[Finding]:
    """Look whether what is committed stays committed."""
    yield from _sqlite() if connection.vendor == "sqlite" else _postgresql()


def _sqlite() -> Iterator[Finding]:
    values = {name: str(_ask(f"PRAGMA {name}")) for name in PRAGMAS}
    wrong = {name: value for name, value in values.items() if value != PRAGMAS[name][0]}
    for name, value in wrong.items():
        yield CHECK.warning(
            f"SQLite's {name} is {value} instead of {PRAGMAS[name][0]}: {PRAGMAS[name][1]}.",
            "Stop the gateway and rebuild the file: sqlite3 DATA_DIR/gateway.sqlite3 "
            "'PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=INCREMENTAL; VACUUM; PRAGMA journal_mode=WAL;'"
            if name == "auto_vacuum"
            else "Move DATA_DIR to a disk of this machine whose file system has shared memory and locks.",
        )
    if not wrong:
        shown = ", ".join(f"{name}={value}" for name, value in values.items())
        yield CHECK.ok(f"SQLite keeps what is committed ({shown}).")


def _postgresql() -> Iterator[Finding]:
    # Whether a commit waits for the disk is what each connection of ours sets (gateway/database.py).
    off = [f"{name}=off" for name in ("fsync", "full_page_writes") if _ask(f"SHOW {name}") != "on"]
    if off:
        yield CHECK.warning(
            f"PostgreSQL runs with {' and '.join(off)}: acknowledged mail can be lost when its host fails.",
            "Set them to on in postgresql.conf and reload: SELECT pg_reload_conf();",
        )
    else:
        yield CHECK.ok(f"PostgreSQL {_ask('SHOW server_version')} keeps what is committed.")


def _ask(query: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None


def _name() -> str:
    given = connection.settings_dict
    host = f" on {given['HOST']}" if given.get("HOST") else ""
    kind = "SQLite" if connection.vendor == "sqlite" else "PostgreSQL"
    return f"{kind} {given['NAME']}{host}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") + "."
