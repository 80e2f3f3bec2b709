"""docker/compose.yaml by Docker Compose: `single`, and `scaled` with either broker, on Debian's servers."""

import json
import shutil
import subprocess
import time

import pytest
import yaml

from tests.deploy.tools import ROOT, pod_of, tool
from tests.image.building import GATEWAY
from tests.image.conftest import MICROSOFT, SECRETS
from tests.image.containers import Container, get
from tests.image.engine import ADDRESS
from tests.image.pods import size_of
from tests.image.test_single import SHORT, begin
from tests.image.traffic import Traffic, small

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]
#: Debian has no package of Grafana; Prometheus is held against its rules in tests/deploy.
STARTED = {"single": ["single"], "scaled": ["relay", "worker", "web", "flower"]}
READY = 90.0  # seconds, of `up --wait`


class Project:
    """A copy of docker/ with secrets of its own, and the sandbox in Microsoft's place for every service."""

    def __init__(self, engine, folder, trusted) -> None:
        self.engine, self.folder = engine, folder
        shutil.copytree(ROOT / "docker", folder / "docker")
        services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
        ours = [name for name, service in services.items() if "GATEWAY_IMAGE" in service["image"]]
        hosts = [f"{name}:{ADDRESS}" for name in MICROSOFT]
        same = {
            "extra_hosts": hosts,
            "volumes": [f"{trusted.file}:{trusted.place}:ro"],
            "environment": SHORT,
            "healthcheck": {"interval": "5s"},
        }
        text = yaml.safe_dump({"services": dict.fromkeys(ours, same)})
        (folder / "sandbox.yaml").write_text(text)
        self.environment = engine.environment | SECRETS | {"GATEWAY_IMAGE": GATEWAY}

    def make_secrets(self, broker: str) -> None:
        command = [str(self.folder / "docker" / "make-secrets.sh"), broker]
        subprocess.run(command, check=True, env=self.environment, capture_output=True)

    def run(self, profile: str, *words: str, check: bool = True) -> str:
        files = ("--file", "docker/compose.yaml", "--file", "sandbox.yaml")
        done = subprocess.run(
            [tool("docker-compose"), *files, "--profile", profile, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said = done.stdout[-2000:] + done.stderr[-4000:]
        assert not check or done.returncode == 0, said + self.logs(profile)
        return done.stdout

    def logs(self, profile: str) -> str:
        return self.run(profile, "logs", "--tail", "30", check=False)[-6000:]

    def containers(self, profile: str, service: str) -> list[str]:
        return self.run(profile, "ps", "--quiet", service).split()

    def mailq(self, profile: str, service: str) -> list[dict]:
        said = self.run(profile, "exec", "-T", service, "python", "manage.py", "mailq", "--json")
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture(scope="module")
def project(engine, trusted, tmp_path_factory):
    return Project(engine, tmp_path_factory.mktemp("project"), trusted)


@pytest.fixture
def up(project):
    """Start a profile's services and wait until Compose calls them healthy; they go with the test."""
    started: list[str] = []

    def begin_profile(profile: str, *services: str) -> float:
        started.append(profile)
        begun = time.monotonic()
        project.run(profile, "up", "--detach", "--wait", "--wait-timeout", "180", *services)
        return time.monotonic() - begun

    yield begin_profile
    for profile in started:
        project.run(profile, "down", "--volumes", "--timeout", "20", check=False)


def wait_until_ready(project, profile: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while get("127.0.0.1", 8080, "/ready", 2.0) != 200:
        assert time.monotonic() < end, project.logs(profile)
        time.sleep(0.5)


def test_single_takes_and_delivers_mail_in_the_memory_that_it_is_given(project, up, engine, sandbox, figures):
    project.make_secrets("rabbitmq")
    seconds = up("single")
    wait_until_ready(project, "single", READY)
    traffic = Traffic("127.0.0.1")
    traffic.at_once(small("compose-single", 20))
    (name,) = project.containers("single", "single")
    one = Container.found(engine, name)
    wait_for_arrivals(sandbox, traffic.told)
    one.note(figures, "compose single, 20 mails", ready=f"{seconds:.0f}")

    assert one.killed() == 0
    assert engine.inspect(name)["RestartCount"] == 0


@pytest.mark.parametrize(("profile", "broker"), [("scaled", "rabbitmq"), ("scaled-redis", "redis")])
def test_scaled_delivers_all_mail_though_a_worker_is_killed(profile, broker, project, up, sandbox, figures):
    engine = project.engine
    project.make_secrets(broker)
    seconds = up(profile, *STARTED["scaled"])
    wait_until_ready(project, profile, READY)
    begun = time.monotonic()
    traffic = Traffic("127.0.0.1")
    clients = begin(traffic, f"compose-{broker}", 300, told=100)
    engine.docker("kill", project.containers(profile, "worker")[0])
    clients.join()
    assert traffic.refused == []
    assert len(traffic.told) == 300
    wait_for_arrivals(sandbox, traffic.told)
    more = f"healthy after {seconds:.0f} s; 300 mails in {time.monotonic() - begun:.0f} s, a worker killed"
    figures.note(f"compose {profile}", more=more)

    for service in STARTED["scaled"]:
        one = Container.found(engine, project.containers(profile, service)[0])
        one.note(figures, f"compose {profile}, {service}, 300 mails")
        assert one.killed() == 0
        assert one.group.working_set() <= requested(service), service
    assert {row["state"] for row in project.mailq(profile, "web")} == {"sent"}


def requested(service: str) -> int:
    """Return the bytes that the scaled overlay asks of a node for the same process."""
    text = (ROOT / "deploy" / "overlays" / "scaled" / f"{service}.yaml").read_text()
    (pod,) = [pod_of(one) for one in yaml.safe_load_all(text) if one["kind"] == "Deployment"]
    return size_of(pod["containers"][0]["resources"]["requests"]["memory"])


def wait_for_arrivals(sandbox, told: set[str], within: float = 120) -> None:
    """Wait until Graph has applied what clients were told about."""
    end = time.monotonic() + within
    while missing := told - applied(sandbox):
        assert time.monotonic() < end, f"{len(missing)} of {len(told)} did not arrive"
        time.sleep(0.5)


def applied(sandbox) -> set[str]:
    lines = sandbox.ledger(where=lambda line: line["decision"] == "applied")
    return {line["internet_message_id"].strip("<>") for line in lines if line.get("internet_message_id")}
