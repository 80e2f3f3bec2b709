"""The migrations of this version, and the embedded database brought to them without Django.

A process that has loaded everything takes 60 MiB and more, and one that migrates beside it takes 90: too much
for a container of 128 MiB. So this is done before Django is loaded. Where a prepared empty database lies
beside `manage.py` (the image has one), a first start copies it.
"""

import importlib.util
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

Migration = tuple[str, str]


class SchemaError(Exception):
    """The embedded database cannot be brought to this version; the text says why."""


class SettingsRefusedError(SchemaError):
    """The system checks refuse the settings, so that nothing was brought to this version."""


@dataclass(frozen=True)
class Schema:
    """The tables of this version: where `manage.py` is, and Django's INSTALLED_APPS."""

    base_dir: Path
    installed_apps: Sequence[str]

    @property
    def prepared(self) -> Path:
        """An empty database with these tables; docker/collect.sh makes it."""
        return self.base_dir / "prepared.sqlite3"

    def brought(self) -> list[Migration]:
        """List application label and name of each migration in this version, in the order of the names.

        Django's own executor imports every migration, which a process keeps in memory; names are enough here.
        """
        return [(label, name) for label, folder in self._folders() for name in _names(folder)]

    def _folders(self) -> Iterable[tuple[str, Path]]:
        for entry in self.installed_apps:
            package = entry.partition(".apps.")[0]
            spec = importlib.util.find_spec(package)
            for location in (spec and spec.submodule_search_locations) or ():
                yield package.rpartition(".")[2], Path(location) / "migrations"

    def missing(self, applied: Iterable[Migration]) -> list[str]:
        """Name what this version brings and `applied` lacks, as `application.migration`."""
        known = set(applied)
        return [f"{label}.{name}" for label, name in self.brought() if (label, name) not in known]

    def missing_in_file(self, path: Path, *, read_only: bool = False) -> list[str]:
        """Name the migrations that the SQLite file lacks: all of them where there is no file.

        A file that nobody may write has to be opened as such. Raises sqlite3.Error when it cannot be read.
        """
        import sqlite3  # here, since a process on PostgreSQL has no use for it

        if not path.exists():
            return self.missing(())
        with closing(
            sqlite3.connect(f"{path.as_uri()}{'?immutable=1' * read_only}", uri=True, timeout=20)
        ) as connection:
            table = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'django_migrations'"
            ).fetchone()
            rows = connection.execute("SELECT app, name FROM django_migrations").fetchall() if table else []
        return self.missing(rows)

    def bring_up_to_date(self, path: Path, lock: int | None = None) -> None:
        """Make the SQLite file at `path`, or bring it to this version. Raises SchemaError with the reason.

        `lock` is the descriptor of a lock that `migrate` holds as well: it may outlive this process.
        """
        import sqlite3

        try:
            if not self.missing_in_file(path):
                return
            if (
                not path.exists()
                and self.prepared.exists()
                and not self.missing_in_file(self.prepared, read_only=True)
            ):
                _copy(self.prepared, path)
            else:
                _migrate(self.base_dir, () if lock is None else (lock,))
        except (sqlite3.Error, OSError) as error:
            raise SchemaError(str(error)) from None


def _names(folder: Path) -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules([str(folder)]) if found.name[0] not in "_~")


def _copy(prepared: Path, path: Path) -> None:
    """Put a copy of `prepared` at `path`: whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    shutil.copyfile(prepared, draft)
    _flush(draft)
    draft.rename(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # a directory of some file systems cannot be flushed
        os.fsync(handle)
    os.close(handle)


def _migrate(base_dir: Path, descriptors: tuple[int, ...]) -> None:
    """Run `manage.py migrate` in a process of its own, whose memory is free again when it ends."""
    command = [sys.executable, str(base_dir / "manage.py"), "migrate", "--verbosity", "0"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        pass_fds=descriptors,
    )
    if "SystemCheckError" in done.stderr:
        raise SettingsRefusedError("The system checks refuse the settings.")
    if done.returncode:
        raise SchemaError(_reason(done.returncode, done.stderr))


def _reason(code: int, stderr: str) -> str:
    if code < 0:
        return f"manage.py migrate was killed by signal {-code}" + (
            ", as the kernel does where memory runs out: give this process 128 MiB at least"
            if code == -9
            else ""
        )
    said = stderr.strip().rpartition("\n")[2]
    return said or f"manage.py migrate ended with exit code {code}"
