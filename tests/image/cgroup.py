"""The memory and the time of a container by its control group's own figures, of version 1 or 2."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.harness.ports import eventually

ROOT = Path("/sys/fs/cgroup")
MIB = 2**20


def is_version_2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


@dataclass(frozen=True)
class Cgroup:
    """A control group by its path below the root, the same for every controller."""

    path: str

    def _file(self, controller: str, name: str) -> Path:
        return ROOT / ("" if is_version_2() else controller) / self.path / name

    def _number(self, controller: str, old: str, new: str) -> int:
        return int(self._file(controller, new if is_version_2() else old).read_text())

    def _table(self, controller: str, name: str) -> dict[str, int]:
        lines = self._file(controller, name).read_text().splitlines()
        return {key: int(value) for key, value in (line.split() for line in lines)}

    def peak(self) -> int:
        """Return the most bytes that it ever had, page cache included; at most its limit."""
        return self._number("memory", "memory.max_usage_in_bytes", "memory.peak")

    def usage(self) -> int:
        return self._number("memory", "memory.usage_in_bytes", "memory.current")

    def limit(self) -> int:
        return self._number("memory", "memory.limit_in_bytes", "memory.max")

    def working_set(self) -> int:
        """Return what a kubelet calls so: its bytes less file cache that nobody has used recently."""
        name = "inactive_file" if is_version_2() else "total_inactive_file"
        return self.usage() - self._table("memory", "memory.stat")[name]

    def resident(self) -> int:
        """Return the bytes of its processes alone, without file cache."""
        if is_version_2():
            return self._table("memory", "memory.stat")["anon"]
        return self._table("memory", "memory.stat")["total_rss"]

    def kills(self) -> int:
        """Return how many processes the kernel has killed in it for want of memory."""
        if is_version_2():
            return self._table("memory", "memory.events")["oom_kill"]
        return self._table("memory", "memory.oom_control")["oom_kill"]

    def seconds(self) -> float:
        """Return the processor time that it has used, in seconds."""
        if is_version_2():
            return self._table("cpu", "cpu.stat")["usage_usec"] / 1e6
        return self._number("cpuacct", "cpuacct.usage", "") / 1e9


def remove(path: str) -> None:
    """Take away a group and the empty groups in it, for every controller."""
    roots = [ROOT] if is_version_2() else [entry for entry in ROOT.iterdir() if entry.is_dir()]
    for root in roots:
        folders = [entry for entry in (root / path).rglob("*") if entry.is_dir()]
        for folder in [*sorted(folders, reverse=True), root / path]:
            if folder.is_dir():
                eventually(lambda folder=folder: _removed(folder), 10, f"the end of {folder}")


def _removed(folder: Path) -> bool:
    with suppress(OSError):  # it is busy until the kernel has taken its last process away
        folder.rmdir()
    return not folder.exists()
