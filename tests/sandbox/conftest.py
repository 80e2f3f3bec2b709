"""One sandbox process for the folder, reset before each test."""

import pytest

from sandbox import world
from sandbox.client import SandboxProcess
from tests.sandbox.graph_client import Graph


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory):
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process):
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def graph(sandbox):
    """The app with Mail.Send alone."""
    return Graph(sandbox)


@pytest.fixture
def writer(sandbox):
    """The app with Mail.Send and Mail.ReadWrite."""
    return Graph(sandbox, world.SECOND_CLIENT, "sandbox-secret-2")
