"""A running container: its address, its control group, commands in it, its end."""

import http.client
import os
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.image.cgroup import MIB, Cgroup
from tests.image.engine import Engine
from tests.image.figures import Figures


def drop_caches() -> None:
    """Empty the page cache: what is read next is charged to the process that reads it."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def get(address: str, port: int, path: str, timeout: float) -> int | None:
    """Return the status of a GET, None where none comes within `timeout` seconds."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    begun = time.monotonic()
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return status if time.monotonic() - begun <= timeout else None


class Container:
    """A container of `image`, started by `start` and taken away by `remove`."""

    def __init__(self, engine: Engine, image: str, options: list[str], *words: str) -> None:
        self.engine, self.image, self.options, self.words = engine, image, options, words
        self.name = self.address = ""
        self.begun = 0.0  # on the clock of time.monotonic
        self.group = Cgroup("")
        self.kubelet: Any = None  # whose probes a test runs under
        self.peak = self.kills = 0  # bytes and processes, as last seen: the group ends with its container

    @classmethod
    def found(cls, engine: Engine, name: str) -> "Container":
        """Return one that somebody else has started."""
        container = cls(engine, "", [])
        container.name, container.begun = name, time.monotonic()
        container._find()
        return container

    def start(self) -> "Container":
        """Start it, for the first time or once more; return when the engine has."""
        self.begun = time.monotonic()
        if self.name:
            self.engine.docker("start", self.name)
        else:
            self.name = self.engine.docker(
                "run", "--detach", *self.options, self.image, *self.words
            ).stdout.strip()
        self._find()
        self.peak = self.kills = 0
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def _find(self) -> None:
        state = self.engine.inspect(self.name)
        networks = state["NetworkSettings"]["Networks"].values()
        self.address = next((network["IPAddress"] for network in networks), "")
        self.group = Cgroup(f"{self.engine.group}/{state['Id']}")

    def _watch(self) -> None:
        with suppress(OSError):
            while True:
                self.look()
                time.sleep(0.2)

    def look(self) -> None:
        self.peak, self.kills = self.group.peak(), self.group.kills()

    def state(self) -> dict:
        return self.engine.inspect(self.name)["State"]

    def is_up(self) -> bool:
        return self.state()["Running"]

    def logs(self) -> str:
        done = self.engine.docker("logs", "--tail", "60", self.name, check=False)
        return done.stdout + done.stderr

    def status(self, path: str, timeout: float = 1.0) -> int | None:
        return get(self.address, 8080, path, timeout)

    def page(self, path: str) -> bytes:
        # The admin answers the hosts of ALLOWED_HOSTS alone, as behind `kubectl port-forward`.
        request = urllib.request.Request(f"http://{self.address}:8080{path}", headers={"Host": "localhost"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def seconds_until(self, path: str, within: float) -> float | None:
        """Wait for 200 at `path`; return the seconds since the start, None where it ends or there is none."""
        end = time.monotonic() + within
        while time.monotonic() < end and self.is_up():
            if self.status(path) == 200:
                return time.monotonic() - self.begun
            time.sleep(0.25)  # to ask takes time from the container, too
        return None

    def killed(self) -> int:
        """Return how many processes in it the kernel has killed for want of memory, at least."""
        with suppress(OSError):
            self.look()
        return max(self.kills, int(self.state()["OOMKilled"]))

    def run(self, *words: str, timeout: float = 240) -> tuple[int, str]:
        """Run a command beside the gateway, as `kubectl exec` does; return its status and what it said."""
        done = self.engine.docker("exec", self.name, *words, check=False, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def stop(self, seconds: int = 45) -> tuple[int, float]:
        """End it by SIGTERM, by SIGKILL after `seconds`; return its status and the seconds that it took."""
        begun = time.monotonic()
        self.engine.docker("stop", "--time", str(seconds), self.name)
        return self.state()["ExitCode"], time.monotonic() - begun

    def kill(self) -> None:
        self.engine.docker("kill", self.name)

    def remove(self) -> None:
        if self.name:
            self.engine.docker("rm", "--force", "--volumes", self.name, check=False)

    def file(self, path: str) -> Path:
        """Return where a file of the running container lies for this side: in a volume, or over its image."""
        found = self.engine.inspect(self.name)
        for mount in found["Mounts"]:
            if path.startswith(mount["Destination"]):
                return Path(mount["Source"] + path.removeprefix(mount["Destination"]))
        return Path(found["GraphDriver"]["Data"]["MergedDir"] + path)

    def users(self) -> set[str]:
        """Return the numbers of the users that its processes run as."""
        lines = self.engine.docker("top", self.name, "-o", "pid,uid").stdout.splitlines()[1:]
        return {line.split()[1] for line in lines}

    def free(self) -> float:
        """Return the MiB between its working set and its limit; nothing is free where it has ended."""
        with suppress(OSError):
            return (self.group.limit() - self.group.working_set()) / MIB
        return 0.0

    def stay(self, seconds: float) -> None:
        """Wait as long as it is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.is_up():
            time.sleep(0.5)

    def note(self, figures: Figures, what: str, **more: object) -> None:
        """Put down what the control group has to say at this moment."""
        self.killed()
        values: dict[str, object] = {"now": "ended"}
        with suppress(OSError):
            values = {
                "now": f"{self.group.working_set() / MIB:.1f}",
                "resident": f"{self.group.resident() / MIB:.1f}",
                "cpu": f"{self.group.seconds():.1f}",
            }
        if self.kubelet:
            values["liveness"] = len(self.kubelet.liveness.failures())
        values |= {"peak": f"{self.peak / MIB:.1f}", "kills": self.killed()} | more
        figures.note(what, **values)
