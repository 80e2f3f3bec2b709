"""The memory that this process may use, and ways to give back what it no longer needs.

The kernel kills a container whose cgroup reaches its limit, and the cgroup counts the page cache of files
that were just written. So two things are bounded here: the heap, and pages that still have to go to the disk.
"""

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

#: glibc's malloc.h: parameters of mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Bytes from which an allocation is a mapping of its own, which the kernel has back as soon as it is freed.
_OWN_MAPPING = 128 * 1024
_CGROUPS = Path("/sys/fs/cgroup")
#: With as much memory as this nothing is bounded more than by its setting.
AMPLE = 512 * 1024 * 1024


@cache
def limit() -> int | None:
    """Return the memory limit of this process's cgroup in bytes; None where there is none."""
    found = [int(text) for path in _limit_files() if (text := _read(path)).isdigit()]
    # Version 1 writes "no limit" as a number near 2**63.
    return min((number for number in found if number < 1 << 60), default=None)


def _limit_files() -> list[Path]:
    """Name the files that may hold it: by the cgroup's path, and at the top, which is all a container sees.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    """
    files = [_CGROUPS / "memory.max", _CGROUPS / "memory" / "memory.limit_in_bytes"]
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            files.append(_CGROUPS / path.lstrip("/") / "memory.max")
        elif "memory" in controllers.split(","):
            files.append(_CGROUPS / "memory" / path.lstrip("/") / "memory.limit_in_bytes")
    return files


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def scarce() -> bool:
    """Whether memory is so little that pages of written files must not pile up."""
    return (limit() or AMPLE) < AMPLE


def scaled(amount: int) -> int:
    """Return `amount` bytes, less in proportion where memory is scarce."""
    return amount * min(limit() or AMPLE, AMPLE) // AMPLE


def give_back_early() -> None:
    """Let all threads allocate in one arena, and return large blocks at once; call it before they start.

    By itself glibc gives each thread an arena, up to eight a core, and each keeps what was freed in it: with
    50 clients sending 10 MB at once that was some 15 MiB. Python's threads hardly ever allocate at once.
    glibc also raises the size from which a block is a mapping of its own, up to 32 MiB, and keeps twice that.
    Nothing happens without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING)
    mallopt(_M_TRIM_THRESHOLD, _OWN_MAPPING)


def let_go_of_pages(descriptor: int) -> None:
    """Begin to write the dirty pages of a file to the disk, and drop the clean ones, where memory is scarce.

    Version 1 of cgroups does not slow a process that dirties pages faster than the disk takes them: the
    kernel kills it. On Linux POSIX_FADV_DONTNEED begins the writing and does not wait for it.
    """
    if scarce() and hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def is_short() -> bool:
    """Whether memory is scarce, and less than a quarter of it is left."""
    most = limit()
    free = left() if scarce() else None
    return most is not None and free is not None and free < most // 4


def left() -> int | None:
    """Return the bytes that this process's cgroup may still take; None where there is no limit."""
    most = limit()
    if most is None:
        return None
    for folder in {file.parent for file in _limit_files()}:
        used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        if used.isdigit():
            return max(0, most - int(used) + _inactive(folder))
    return None


def _inactive(folder: Path) -> int:
    fields = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", "0")))
