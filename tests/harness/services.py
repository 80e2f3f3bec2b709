"""Private Redis, RabbitMQ and PostgreSQL servers on free ports, from the machine's own programs.

Absent programs skip a test with the reason; with REQUIRE_SERVICES=1 they fail it, so that a machine that
should have them cannot pass without.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.ports import eventually, free_port, wait_for_port
from tests.harness.procfs import children


def program(name: str, *folders: str) -> str:
    """Find a program, also where Debian hides it; skip or fail where it is absent."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        reason = f"{name} is not on this machine (make services-test says what to install)"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Server:
    """A child process in a directory of its own, ended by its id."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-test-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.log = self.folder / "log"

    def spawn(self, *command: str, user: str | None = None, **environment: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | environment,
                cwd=self.folder,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                start_new_session=True,
            )

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 30.0) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGCONT)
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(timeout)
        self.process = None

    def pause(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    def __init__(self) -> None:
        self.program = program("redis-server")
        super().__init__()
        self.start()

    def start(self) -> None:
        self.spawn(self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", ".")
        wait_for_port(self.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        import redis

        redis.Redis(port=self.port).flushall()


class RabbitMQ(Server):
    def __init__(self) -> None:
        self.program = program("rabbitmq-server", "/usr/lib/rabbitmq/bin")
        super().__init__()
        self.distribution, self.epmd = free_port(), free_port()
        self.start()

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        self.spawn(self.program, **self._environment)
        wait_for_port(self.port, 120)
        eventually(self._answers, 120, "RabbitMQ's answer")

    def _answers(self) -> bool:
        import amqp

        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5, read_timeout=5):
                return True
        except (OSError, amqp.AMQPError):
            return False

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def alarm(self, on: bool) -> None:
        """Let the node find its memory used up, so that it takes nothing from publishers; or end that."""
        control = program("rabbitmqctl", "/usr/lib/rabbitmq/bin")
        node = self._environment["RABBITMQ_NODENAME"]
        subprocess.run(
            [control, "-n", node, "set_vm_memory_high_watermark", "0.000001" if on else "0.6"],
            env=os.environ | self._environment,
            capture_output=True,
            timeout=120,
            check=True,
        )

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 60.0) -> None:
        """End the node and its own port mapper, which outlives it otherwise."""
        group = self.process.pid if self.process else 0
        super().end(how, timeout)
        if group:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        epmd = shutil.which("epmd")
        if epmd:
            subprocess.run(
                [epmd, "-port", str(self.epmd), "-kill"], capture_output=True, timeout=20, check=False
            )


class PostgreSQL(Server):
    def __init__(self) -> None:
        folders = sorted((str(p) for p in Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        self.program = program("postgres", *folders)
        initdb = program("initdb", *folders)
        super().__init__()
        # The server refuses to run as root.
        self.user = "nobody" if os.getuid() == 0 else None
        self.data = self.folder / "data"
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.spawn(initdb, "-D", str(self.data), "-U", "gateway", "-A", "trust", "-E", "UTF8", user=self.user)
        assert self.process.wait(120) == 0, self.log.read_text()
        self.start()

    def start(self) -> None:
        self.spawn(
            self.program,
            *("-D", str(self.data), "-p", str(self.port), "-k", str(self.folder)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "shared_buffers=64MB"),
            user=self.user,
        )
        eventually(self._answers, 60, "PostgreSQL's answer")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, name: str) -> str:
        return f"postgresql://gateway@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """Make a new, empty database and return its DATABASE_URL."""
        import psycopg

        name = f"test_{time.monotonic_ns()}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgres://gateway@127.0.0.1:{self.port}/{name}"

    def pause(self) -> None:
        """Freeze the server and its backends, which are sessions of their own; until `resume`."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, how: signal.Signals) -> None:
        # The postmaster first, so that it starts no backend meanwhile.
        self.process.send_signal(how)
        for pid in children(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, how)

    def end(self, how: signal.Signals = signal.SIGINT, timeout: float = 30.0) -> None:
        if self.process is not None and self.process.poll() is None:
            self.resume()
        # SIGINT is its fast shutdown: sessions are cut, the files are left in order.
        super().end(how, timeout)
