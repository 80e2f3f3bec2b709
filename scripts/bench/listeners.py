"""The measured listeners: this gateway's, Postfix's smtpd, and aiosmtpd as it comes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from scripts.bench.measuring import cpu_seconds
from tests.harness.ports import free_port, wait_for_port
from tests.harness.processes import GatewayProcess, Relay, base_environment, manage

#: Of one message: enough for what is measured with every listener.
SIZE_LIMIT = 36_700_160
STOCK = """
import sys
from aiosmtpd.controller import Controller


class Drop:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"


Controller(Drop(), hostname="127.0.0.1", port=int(sys.argv[1]), data_size_limit=int(sys.argv[2])).start()
sys.stdin.read()
"""


class Listener(ABC):
    """A server under test in a directory of its own; a context manager that ends it."""

    name = ""
    port = 0
    pid = 0

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("BENCH_DIR")))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def start(self) -> None:
        """Start the server; `port` and `pid` are its from then on."""

    @abstractmethod
    def stop(self) -> None:
        """End the server."""

    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def commits(self) -> float | None:
        """Commits since the start, where the listener tells."""
        return None


class Ours(Listener):
    """`runsmtp`, durable in SQLite, with nobody who delivers: the queue grows, as Postfix's does not."""

    name = "gateway"

    def start(self) -> None:
        environment = base_environment(
            self.folder,
            AZURE_TENANT_ID="bench.example",
            AZURE_CLIENT_ID="22222222-2222-2222-2222-222222222222",
            AZURE_CLIENT_SECRET="bench",  # noqa: S106 - stands for one, nothing is sent
            SENDER_EMAIL="gateway@contoso.test",
            GRAPH_ENDPOINT="https://127.0.0.1:9",
            AZURE_AUTHORITY_HOST="https://127.0.0.1:9",
            # Named, never used: without a worker nothing is claimed, so that nothing is published.
            CELERY_BROKER_URL="redis://127.0.0.1:9/0",
            LOG_LEVEL="INFO",
            # 20 mails of 25 MB at once: what is measured is speed, not how mail is refused for now.
            SENDER_LARGE_MAIL="on",
            SMTP_MAX_BYTES_IN_TRANSFER=str(2**30),
        )
        manage(environment, "migrate", "--verbosity", "0")
        # Nothing is delivered, so that all rounds together wait: more than a mailbox sends in a day.
        unlimited = (
            "from mailrelay.models import Mailbox; print(Mailbox.objects.update(recipients_per_day=0))"
        )
        assert manage(environment, "shell", "--no-imports", "-c", unlimited).stdout.strip() == "1"
        self._process = self._make(environment)
        self._process.start()
        self.port, self.pid = self._process.smtp_port, self._process.process.pid

    def _make(self, environment: dict[str, str]) -> GatewayProcess:
        return Relay(environment)

    def stop(self) -> None:
        self._process.stop(check=False)

    def commits(self) -> float | None:
        return self._process.metrics().get("graph_smtp_writer_batch_count")


class AllInOne(Ours):
    """`rungateway`: the same, with worker, scheduler and web in the process; Entra ID is out of reach."""

    name = "all-in-one"

    def _make(self, environment: dict[str, str]) -> GatewayProcess:
        return GatewayProcess({**environment, "CELERY_BROKER_URL": "memory://"})


class Postfix(Listener):
    """A private Postfix: own configuration, queue and port; what it takes is discarded after the queue."""

    name = "postfix"

    def start(self) -> None:
        self.port = free_port()
        self.folder.chmod(0o755)
        etc, queue, state = (self.folder / name for name in ("etc", "queue", "lib"))
        for each in (etc, queue, state):
            each.mkdir()
        shutil.chown(state, "postfix")
        stock = Path("/usr/share/postfix/master.cf.dist")
        lines = (stock if stock.exists() else Path("/etc/postfix/master.cf")).read_text().splitlines()
        kept = [line for line in lines if line[:1] not in {"#", " ", "\t", ""} and not _is_public(line)]
        kept = [_outside_chroot(line) for line in kept]
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd"
        (etc / "master.cf").write_text("\n".join([smtpd, *kept]) + "\n")
        (etc / "main.cf").write_text(self._main(queue, state))
        subprocess.run(["postfix", "-c", str(etc), "start"], check=True, capture_output=True)
        wait_for_port(self.port)
        self.pid = int((queue / "pid" / "master.pid").read_text())

    def _main(self, queue: Path, state: Path) -> str:
        values = {
            "compatibility_level": "3.6",
            "queue_directory": queue,
            "data_directory": state,
            "maillog_file": self.folder / "log",
            "maillog_file_prefixes": self.folder,
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": "postfix.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "loopback-only",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "default_transport": "discard:",
            "message_size_limit": SIZE_LIMIT,
        }
        return "".join(f"{name} = {value}\n" for name, value in values.items())

    def stop(self) -> None:
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], check=False, capture_output=True)


def _is_public(line: str) -> bool:
    """Whether a service of master.cf listens beyond this machine's sockets, or delivers by a program."""
    words = line.split()
    return words[1] == "inet" or words[7] == "pipe"


def _outside_chroot(line: str) -> str:
    words = line.split()
    words[4] = "n"
    return " ".join(words)


class Stock(Listener):
    """aiosmtpd's own controller, which stores nothing: what a listener costs by itself."""

    name = "aiosmtpd"

    def start(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-c", STOCK, str(self.port), str(SIZE_LIMIT)], stdin=subprocess.PIPE
        )
        self.pid = self._process.pid
        wait_for_port(self.port)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
