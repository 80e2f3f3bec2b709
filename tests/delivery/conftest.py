"""An office: delivery inside this process, against one sandbox for the folder."""

import pytest

from sandbox.client import SandboxProcess


@pytest.fixture(scope="session")
def steady_sandbox(tmp_path_factory):
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def office(transactional_db, steady_sandbox, monkeypatch):
    from tests.delivery.office import Office
    from tests.outbox.moves import only_drawn_moves

    if steady_sandbox.process is None:
        steady_sandbox.start()
    steady_sandbox.reset()
    with only_drawn_moves():
        yield Office(steady_sandbox, monkeypatch)
    if steady_sandbox.process is not None:
        steady_sandbox.reset()
