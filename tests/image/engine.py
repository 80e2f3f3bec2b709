"""A Docker engine of the tests' own: a data root in a folder, a socket, no rules on this machine."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.harness.ports import eventually

#: The bridge of the tests' own network, and what containers reach this side by.
ADDRESS = "10.213.0.1"
#: A bridge that is there and unused: told about none, an engine takes away the `docker0` of another.
BRIDGE = "image-test0"
PATH = os.pathsep.join(["/usr/bin", "/usr/sbin", "/sbin", os.environ.get("PATH", "")])


class Engine:
    """`dockerd` in `folder`, started and ended by its process id.

    Without `network` it is this machine's, for builds, and an engine may be here: BRIDGE keeps them apart.
    """

    def __init__(self, folder: Path, group: str, *, network: bool) -> None:
        self.folder, self.group, self.network = folder, group, network
        self.host = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        bridge = [f"--bridge={BRIDGE}"]
        if self.network:
            bridge = [f"--bip={ADDRESS}/24", "--default-address-pool=base=10.214.0.0/16,size=24"]
        # What one that was killed has left says that it is running.
        (self.folder / "pid").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        with (self.folder / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(shutil.which("dockerd", path=PATH)),
                    *(f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"),
                    *(f"--host={self.host}", f"--pidfile={self.folder}/pid"),
                    *(f"--cgroup-parent=/{self.group}", "--exec-opt=native.cgroupdriver=cgroupfs"),
                    *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
                    *("--log-level=warn", *bridge),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PATH": PATH},
            )
        eventually(self._answers, 60, "the engine")
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.log()
        return self.docker("version", check=False).returncode == 0

    def log(self) -> str:
        return (self.folder / "engine.log").read_text(errors="replace")[-3000:]

    def __exit__(self, *_: object) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its clients need."""
        return os.environ | {"PATH": PATH, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder)}

    def docker(
        self, *words: str, check: bool = True, timeout: float = 600, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the client; AssertionError with what it said where it fails and `check` is on."""
        environment = self.environment | more.pop("env", {})
        done = subprocess.run(
            ["docker", *words],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            **more,
        )
        said = done.stdout[-2000:] + done.stderr[-3000:]
        assert not check or done.returncode == 0, f"docker {words}: {said}"
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", name).stdout)[0]
        return found
