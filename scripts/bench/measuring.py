"""Processor time of process trees, and tables of medians."""

import os
import statistics
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor seconds of `pid` and all of its descendants, those that it has reaped included."""
    return sum(_own(each) for each in (pid, *_descendants(pid)))


def _own(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted after the name.
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _descendants(pid: int) -> Iterable[int]:
    parents = {
        int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()
    }
    found = {pid}
    while more := {each for each, stat in parents.items() if stat and int(stat[1]) in found} - found:
        found |= more
    return found - {pid}


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def spread(values: list[float]) -> str:
    """The lowest and the highest of `values`."""
    return f"{min(values):,.0f}-{max(values):,.0f}" if values else "-"
