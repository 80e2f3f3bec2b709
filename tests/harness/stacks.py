"""The three installations that every delivery test runs on."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.client import SandboxProcess
from tests.harness.processes import (
    FIELD_KEY,
    SECRET_KEY,
    GatewayProcess,
    Relay,
    Worker,
    base_environment,
    manage,
    states,
    wait_for_state,
)

EMBEDDED, REDIS, RABBITMQ = "sqlite+memory", "postgresql+redis", "postgresql+rabbitmq"


@dataclass
class Stack:
    """An installation: its environment, its sandbox, and the processes that a test starts in it."""

    name: str
    environment: dict[str, str]
    sandbox: SandboxProcess
    broker: object = None
    database: object = None
    entered: ExitStack = field(default_factory=ExitStack)

    @property
    def embedded(self) -> bool:
        return self.name == EMBEDDED

    def listener(self, **more: str) -> GatewayProcess:
        """Prepare the process that listens (not started): the all-in-one, or a relay."""
        process = (GatewayProcess if self.embedded else Relay)(self.environment, **more)
        self.entered.callback(process.kill)
        return process

    def worker(self, **more: str) -> Worker:
        process = Worker(self.environment, **more)
        self.entered.callback(process.kill)
        return process

    def start(self, **more: str) -> GatewayProcess:
        """Start everything that it takes; return the process that listens."""
        self.migrate()
        listener = self.listener(**more).start()
        if not self.embedded:
            self.worker(**more).start()
        return listener

    def migrate(self) -> None:
        if not self.embedded:
            manage(self.environment, "migrate", "--verbosity", "0")

    def states(self) -> dict[str, int]:
        return states(self.environment)

    def wait_for(self, timeout: float = 60.0, **wanted: int) -> None:
        wait_for_state(self.environment, wanted, timeout)

    def delivered(self) -> list[dict]:
        return self.sandbox.deliveries()


def environment_of(
    data_dir: Path, sandbox: SandboxProcess, database_url: str = "", broker_url: str = "", **more: str
) -> dict[str, str]:
    environment = base_environment(data_dir, sandbox, **more)
    if database_url:
        environment |= {
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": broker_url,
            "DJANGO_SECRET_KEY": SECRET_KEY,
            "FIELD_ENCRYPTION_KEYS": FIELD_KEY,
        }
    return environment
