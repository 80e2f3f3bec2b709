"""The gateway that the demonstration starts: its process, its ports, and what can be seen of it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from mailrelay.models import Message, SendLog

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds for the start, and for the end
#: All that the gateway gets of the caller's environment: a demonstration must not meet a real tenant.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")


class DemoError(Exception):
    """A step did not go as it should; the text completes a sentence."""


class DemoGateway:
    """`manage.py rungateway --sandbox` in a directory of its own. `stop` leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp_port, self.http_port, self.page_port = _port(2525), _port(8080), _port(8025)
        self.http_url = f"http://127.0.0.1:{self.http_port}"
        self.admin_url = f"{self.http_url}/admin/"
        self.page_url = f"http://127.0.0.1:{self.page_port}/"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy is not for loopback
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            "DATA_DIR": str(folder / "data"),
            "SMTP_LISTENERS": f"smtp://127.0.0.1:{self.smtp_port}",
            "SMTP_HOSTNAME": "gateway.demo.test",
            "SMTP_DRAIN_SECONDS": "5",
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "SANDBOX_PAGE_PORT": str(self.page_port),
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
        }

    def start(self) -> None:
        """Return once it serves SMTP and answers probes. Raises DemoError when it does not come up."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "rungateway", "--sandbox"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the demonstration, which then ends this one
            )
        end = time.monotonic() + PATIENCE
        while not self._serves():
            self.check_alive()
            if time.monotonic() > end:
                raise DemoError(f"the gateway did not come up within {PATIENCE:.0f} s")
            time.sleep(0.05)
        self._open_database()

    def stop(self) -> None:
        """End the gateway as an orchestrator does, and whatever is left of its session by force."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        end = time.monotonic() + 5.0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < end:
                os.killpg(self._process.pid, 0)
                time.sleep(0.05)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check_alive(self) -> None:
        """Raise DemoError when the gateway has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise DemoError(f"the gateway ended with status {self._process.returncode}")

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(["Its last lines:", *lines[-25:]]) if lines else "It printed nothing."

    @property
    def login(self) -> str:
        password = (self.folder / "data" / "admin-password").read_text().strip()
        return f"admin, password {password}"

    def message(self, queue_id: str, state: str) -> "Message | None":
        """Read the message's row, as the admin does, once it is in `state`."""
        from mailrelay.models import Message

        return Message.objects.filter(pk=queue_id, state=state).first()

    def attempt(self, queue_id: str, *, answered: bool = False) -> "SendLog | None":
        """Read the row of the first attempt, once there is one (that Graph has answered)."""
        from mailrelay.models import SendLog

        rows = SendLog.objects.filter(message_id=queue_id).select_related("delivery")
        return rows.exclude(outcome="").first() if answered else rows.first()

    def request(self, request_id: str) -> dict[str, Any] | None:
        """Find the sandbox's record of a request, if there is one."""
        text = (self.folder / "data" / "sandbox" / "ledger.jsonl").read_text()
        lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        return next((line for line in lines if line["request_id"] == request_id), None)

    def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._page("GET", "deliveries").json()
        return found

    def submitted(self, number: int) -> bytes:
        """Return the MIME that reached Graph."""
        return self._page("GET", f"deliveries/{number}/raw").content

    def delivered(self, number: int) -> bytes:
        """Return the MIME that a recipient gets."""
        return self._page("GET", f"deliveries/{number}/delivered").content

    def order_fault(self, order: dict[str, Any]) -> None:
        self._page("POST", "faults", order)

    def _page(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        answer = self._http.request(method, f"{self.page_url}control/{path}", json=body, timeout=PATIENCE)
        answer.raise_for_status()
        return answer

    def _serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.smtp_port), timeout=1) as connection:
                greeting = connection.recv(4)
                connection.sendall(b"QUIT\r\n")
            return greeting == b"220 " and self._http.get(f"{self.http_url}/health", timeout=5).ok
        except OSError:
            return False

    def _open_database(self) -> None:
        """Give this process the gateway's settings, so that it reads the rows through the models."""
        import django

        os.environ.clear()
        os.environ.update(self.environment)
        django.setup()


def _port(preferred: int) -> int:
    """Return the preferred port when nobody has it, else any free one."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", preferred), timeout=0.2):
        return _port(0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return _port(0)
        return int(probe.getsockname()[1])
