"""An engine, Microsoft's stand-in beside it, and the table of what was measured."""

import os
from dataclasses import dataclass
from pathlib import Path

import certifi
import pytest

from sandbox import world
from sandbox.client import SandboxProcess
from tests.image.building import GATEWAY
from tests.image.containers import Container
from tests.image.engine import ADDRESS, Engine
from tests.image.figures import Figures

FIGURES = pytest.StashKey[Figures]()
MICROSOFT = ("login.microsoftonline.com", "graph.microsoft.com")
#: The Secret of the mission's page, with an application of the sandbox that may write drafts.
SECRETS = {
    "AZURE_TENANT_ID": world.TENANT,
    "AZURE_CLIENT_ID": world.SECOND_CLIENT,
    "AZURE_CLIENT_SECRET": "sandbox-secret-2",
    "SENDER_EMAIL": "gateway@contoso.test",
}


def pytest_configure(config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter, config) -> None:
    figures = config.stash[FIGURES]
    if figures.rows:
        terminalreporter.section("what the containers' control groups say")
        for line in figures.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figures(pytestconfig) -> Figures:
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def engine():
    folder = os.environ.get("IMAGE_TEST_FOLDER")
    if not folder:
        pytest.skip("`make image-test` builds the image and runs these in namespaces of their own")
    with Engine(Path(folder), Path(folder).name, network=True) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(engine, tmp_path_factory):
    """Microsoft's stand-in under Microsoft's names, where containers find it, without limits of minutes."""
    names = [word for name in MICROSOFT for word in ("--name", name)]
    folder = tmp_path_factory.mktemp("sandbox")
    process = SandboxProcess(folder, "--host", ADDRESS, "--keep-mib", "1200", *names)
    process.base_url = f"https://{ADDRESS}:443"
    with process:
        process.world(limits={"upload_bytes": 0, "messages_per_minute": 0})
        yield process


@dataclass(frozen=True)
class Trusted:
    """A file of everybody whom the image trusts, and the sandbox; and where the image has its own."""

    file: Path
    place: str


@pytest.fixture(scope="module")
def trusted(engine, sandbox, tmp_path_factory) -> Trusted:
    file = tmp_path_factory.mktemp("trusted") / "cacert.pem"
    file.write_text(Path(certifi.where()).read_text() + Path(sandbox.ca_file).read_text())
    file.chmod(0o644)
    ask = ("-c", "import certifi; print(certifi.where())")
    place = engine.docker("run", "--rm", "--entrypoint", "python", GATEWAY, *ask).stdout.strip()
    return Trusted(file, place)


@pytest.fixture(scope="module")
def microsoft(trusted) -> list[str]:
    """Options that put the sandbox in Microsoft's place without a variable: names, and a certificate."""
    hosts = [word for name in MICROSOFT for word in ("--add-host", f"{name}:{ADDRESS}")]
    return [*hosts, "--volume", f"{trusted.file}:{trusted.place}:ro"]


@pytest.fixture(scope="module")
def container(engine):
    """Prepare a container that ends with the module; not started."""
    made: list[Container] = []

    def make(options: list[str], *words: str, image: str = GATEWAY) -> Container:
        made.append(Container(engine, image, options, *words))
        return made[-1]

    yield make
    for one in made:
        one.remove()
