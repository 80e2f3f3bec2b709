"""Start, question and steer a sandbox from a test, a demonstration or a benchmark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]


class SandboxProcess:
    """A sandbox of its own in `directory`, as a child process that cannot outlive this one.

    A context manager: entering starts it on free ports and returns when it answers. `stop` and `start` keep
    the ports, the CA and the ledger; delivered mail is forgotten, as the process holds it in memory.
    `options` are further command line options, e.g. `"--keep", "100"`.
    """

    def __init__(self, directory: Path | str, *options: str) -> None:
        self.directory = Path(directory)
        self.options = options
        self.base_url = self.upload_url = self.page_url = ""
        self.ca_file = str(self.directory.absolute() / "ca.pem")
        self.ledger_file = self.directory / "ledger.jsonl"
        self.log_file = self.directory / "sandbox.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._http = requests.Session()
        self._http.trust_env = False  # neither proxies nor REQUESTS_CA_BUNDLE concern loopback

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._http.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, timeout: float = 60) -> None:
        """Start it; raises RuntimeError with what it said when it does not come up in `timeout` seconds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": _python_path()}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
            )
        self._wait_until_ready(timeout)

    def _command(self) -> list[str]:
        ports = [urlsplit(url).port or 0 for url in (self.base_url, self.upload_url, self.page_url)]
        names = ("--port", "--upload-port", "--page-port")
        chosen = [text for name, port in zip(names, ports, strict=True) for text in (name, str(port))]
        own = ["--data-dir", str(self.directory), "--with-parent", str(os.getpid())]
        return [sys.executable, "-m", "sandbox", *own, *chosen, *self.options]

    def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            ready = self._ready()
            if ready is not None and ready["pid"] == self.pid:
                self.base_url, self.upload_url = ready["base_url"], ready["upload_url"]
                self.page_url, self.ca_file = ready["page_url"], ready["ca_file"]
                self.ledger_file = Path(ready["ledger"])
                return
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the sandbox did not start: {self.log_file.read_text()[-2000:]}")

    def _ready(self) -> dict[str, Any] | None:
        try:
            ready: dict[str, Any] = json.loads((self.directory / "sandbox.json").read_text())
        except (OSError, ValueError):
            return None
        return ready

    def stop(self, timeout: float = 20) -> None:
        """End it cleanly (SIGTERM), by force after `timeout` seconds; does nothing when it has ended."""
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Freeze it: connections are accepted by the kernel, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def fault(self, where: str = "any", kind: str = "status", **order: Any) -> dict[str, Any]:
        """Order a fault; see `faults.Fault` for the settings and `faults.KINDS` for the kinds."""
        answer: dict[str, Any] = self._json(
            "POST", "/control/faults", {"where": where, "kind": kind, **order}
        )
        return answer

    def clear_faults(self) -> None:
        """Take back all orders; requests that hang or are slow on account of one go on at once."""
        self._request("DELETE", "/control/faults")

    def faults(self) -> list[dict[str, Any]]:
        """The orders that have not been used up."""
        answer: list[dict[str, Any]] = self._json("GET", "/control/faults")
        return answer

    def world(self, **parts: Any) -> dict[str, Any]:
        """The world, after merging `parts` into it, e.g. `world(limits={"concurrency": 2})`."""
        method, body = ("PATCH", parts) if parts else ("GET", None)
        answer: dict[str, Any] = self._json(method, "/control/world", body)
        return answer

    def deliveries(self, after: int = 0) -> list[dict[str, Any]]:
        """What was delivered, oldest first, with numbers above `after`."""
        answer: list[dict[str, Any]] = self._json("GET", f"/control/deliveries?after={after}")
        return answer

    def wait_for_deliveries(self, count: int, after: int = 0, timeout: float = 60) -> list[dict[str, Any]]:
        """Wait until there are at least `count`; raises TimeoutError saying how many there were."""
        deadline = time.monotonic() + timeout
        while len(found := self.deliveries(after)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} mails were delivered in {timeout} s")
            time.sleep(0.05)
        return found

    def raw(self, number: int) -> bytes:
        """The MIME that was submitted for delivery `number`."""
        return self._request("GET", f"/control/deliveries/{number}/raw").content

    def delivered(self, number: int) -> bytes:
        """The MIME that a recipient gets."""
        return self._request("GET", f"/control/deliveries/{number}/delivered").content

    def inbox(self, mailbox: str) -> list[dict[str, Any]]:
        """Non-delivery reports in the Inbox of `mailbox`, newest first, each with its source as `raw`."""
        answer: list[dict[str, Any]] = self._json("GET", f"/control/inbox/{mailbox}")
        return answer

    def stats(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._json("GET", "/control/stats")
        return answer

    def revoke_tokens(self) -> None:
        self._request("POST", "/control/revoke")

    def reset(self) -> None:
        """Back to the default world without mail, faults and counts; the ledger file stays."""
        self._request("POST", "/control/reset")

    def ledger(
        self, after: int = 0, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> list[dict[str, Any]]:
        """The decisions with numbers above `after`, those alone for which `where` is true."""
        texts = self.ledger_file.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
        lines = [json.loads(text) for text in texts if text.endswith(b"}")]
        return [line for line in lines if line["seq"] > after and (where is None or where(line))]

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._request(method, path, body).json()

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        response = self._http.request(method, self.page_url + path, json=body, timeout=60)
        if response.status_code == 400:
            raise ValueError(response.text)
        response.raise_for_status()
        return response


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])
