"""What /proc says of running processes: a small Debian has no `ps`."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """List the processes that `pid` has started and that still run."""
    return [found for found, parent, _ in _all() if parent == pid]


def session_rss(session: int) -> int:
    """Return the resident bytes of all processes of a session."""
    pages = 0
    for pid, _, of in _all():
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) if of == session else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _all() -> Iterator[tuple[int, int, int]]:
    """Yield each process with its parent and its session (proc(5), /proc/pid/stat)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])
