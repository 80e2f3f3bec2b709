"""A backup of the embedded default: its SQLite file, as of one moment, and its keys, in a zip file."""

import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mailrelay.upkeep.errors import UpkeepError

DATABASE = "gateway.sqlite3"
KEYS = "keys"
#: Pages that SQLite copies before it lets writers in between; all at once would hold them up for long.
STEP = 1024


def save(database: Path, data_dir: Path, target: Path) -> int:
    """Write the backup to `target`, while the gateway runs; return its size in bytes.

    Raises UpkeepError where `target` exists or cannot be written.
    """
    if target.exists():
        raise UpkeepError(f"{target} exists: name another file, or remove it.")
    draft = target.with_name(f"{target.name}.part")
    try:
        draft.touch(mode=0o600)
        with (
            _copy_of(database, target.parent) as copy,
            zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.write(copy, DATABASE)
            for key in sorted((data_dir / KEYS).glob("*")):
                archive.write(key, f"{KEYS}/{key.name}")
        draft.rename(target)
    except OSError as error:
        raise UpkeepError(f"{target} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return target.stat().st_size


@contextmanager
def _copy_of(database: Path, folder: Path) -> Iterator[Path]:
    """Copy a live SQLite file with its own backup API, which sees one moment of it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        copy = Path(scratch) / DATABASE
        with (
            closing(sqlite3.connect(database, timeout=60)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target, pages=STEP)
        yield copy


def restore(archive: Path, database: Path, data_dir: Path) -> None:
    """Put the database and the keys of a backup in place.

    The caller holds the lock on `data_dir`. Raises UpkeepError where there is a database already, or the file
    is no backup.
    """
    if database.exists():
        raise UpkeepError(
            f"{database} exists: a backup is restored into an empty DATA_DIR. Move it away first."
        )
    try:
        with zipfile.ZipFile(archive) as found:
            names = [name for name in found.namelist() if name == DATABASE or _is_key(name)]
            if DATABASE not in names:
                raise UpkeepError(f"{archive} is no backup of the gateway: it has no {DATABASE}.")
            draft = _extract(found, names, database, data_dir)
    except (OSError, zipfile.BadZipFile) as error:
        raise UpkeepError(f"{archive} cannot be read as a backup: {error}.") from None
    _check(draft)
    draft.rename(database)


def _is_key(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder == KEYS and file.isidentifier()


def _extract(found: zipfile.ZipFile, names: list[str], database: Path, data_dir: Path) -> Path:
    draft = database.with_name(f"{database.name}.restored")
    for name in names:
        path = draft if name == DATABASE else data_dir / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        with found.open(name) as source, path.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
    return draft


def _check(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        try:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.DatabaseError as error:
            said = str(error)
    if said != "ok":
        path.unlink()
        raise UpkeepError(f"The database in the backup is damaged: {said}")
