"""A cluster for all tests of health: each kind of process on one PostgreSQL and one Redis."""

import pytest
import requests

from sandbox.client import SandboxProcess
from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, Relay, Web, Worker
from tests.harness.stacks import REDIS, Stack, environment_of

KINDS = {"relay": Relay, "worker": Worker, "web": Web, "gateway": GatewayProcess}


class Cluster(Stack):
    """The processes by their names, all of them up."""

    processes: dict[str, GatewayProcess]

    def start_all(self) -> None:
        self.migrate()
        self.processes = {name: kind(self.environment) for name, kind in KINDS.items()}
        for process in self.processes.values():
            self.entered.callback(process.kill)
            process.start(wait=False)
        for process in self.processes.values():
            process.wait_until_up()
        eventually(lambda: self.statuses("/ready") == {200}, what="every process being ready")

    def statuses(self, path: str) -> set[int | None]:
        return {process.get(path) for process in self.processes.values()}

    def failed(self) -> list[list[str]]:
        """What /ready of each process names as failed."""
        return [process.ready()["failed"] for process in self.processes.values()]


@pytest.fixture(scope="package")
def cluster(tmp_path_factory, postgresql, redis):
    folder = tmp_path_factory.mktemp("cluster")
    redis.flush()
    with SandboxProcess(folder / "sandbox") as sandbox:
        environment = environment_of(folder / "data", sandbox, postgresql.database(), redis.url)
        cluster = Cluster(REDIS, environment, sandbox, redis, postgresql)
        with cluster.entered:
            cluster.start_all()
            yield cluster


@pytest.fixture(scope="module")
def sandbox_of_module(tmp_path_factory):
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


def ask(process: GatewayProcess, path: str, timeout: float = 2.0, **headers: str) -> requests.Response:
    url = f"http://127.0.0.1:{process.http_port}{path}"
    return requests.get(url, headers=headers, timeout=timeout, allow_redirects=False)
