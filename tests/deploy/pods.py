"""The processes of the scaled overlay, started as its manifests do: arguments, variables, files."""

import os
import subprocess
from pathlib import Path

import yaml

from tests.deploy.tools import ROOT, one, pod_of
from tests.harness.processes import FIELD_KEY, SECRET_KEY, GatewayProcess

PLATFORM = "/run/secrets/platform"
FLOWER = "/run/secrets/flower"
PASSWORD = "watch:a-password-of-the-test"


class Pod(GatewayProcess):
    """One container: the image's entry point with the arguments of the manifest."""

    name = ""

    def __init__(
        self, documents: list[dict], kind: str, name: str, environment: dict[str, str], folder: Path
    ) -> None:
        super().__init__(environment)
        self.name = name
        self.log = Path(environment["DATA_DIR"]) / f"{name}-{self.http_port}.log"
        (container,) = pod_of(one(documents, kind, name))["containers"]
        self.arguments = container["args"]
        own = {variable["name"]: variable["value"] for variable in container.get("env", [])}
        maps = [
            entry["configMapRef"]["name"] for entry in container.get("envFrom", []) if "configMapRef" in entry
        ]
        for config in maps:
            own = one(documents, "ConfigMap", config)["data"] | own
        mounted = {n: v.replace(PLATFORM, str(folder)).replace(FLOWER, str(folder)) for n, v in own.items()}
        self.environment |= mounted | {
            "PATH": f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin",
            "FLOWER_PORT": str(self.http_port),
            "FLOWER_ADDRESS": "127.0.0.1",
        }

    @property
    def probe(self) -> str:
        return "/healthcheck" if self.name.endswith("flower") else "/health"

    def start(self, *, wait: bool = True, **more: str):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(ROOT / "docker" / "entrypoint.sh"), *self.arguments],
                cwd="/",
                env=self.environment | more,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            self.wait_until_up()
        return self

    def get(self, path: str) -> int | None:
        return super().get(self.probe if path == "/health" else path)

    def is_serving(self) -> bool:
        return super().is_serving() if self.name.endswith("relay") else True


def documents_of_scaled() -> list[dict]:
    """Read the overlay without kustomize: its files, and its ConfigMap from the generator's lines."""
    overlay = ROOT / "deploy" / "overlays" / "scaled"
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    (generator,) = kustomization["configMapGenerator"]
    found = [
        document
        for name in kustomization["resources"]
        if name.endswith(".yaml")
        for document in yaml.safe_load_all((overlay / name).read_text())
    ]
    settings = yaml.safe_load((overlay / "patches" / "settings.yaml").read_text())
    (sources,) = [patch["value"] for patch in settings if patch["path"].endswith("/envFrom")]
    for document in found:
        if document["kind"] in {"Deployment", "Job"} and not document["metadata"]["name"].endswith("flower"):
            pod_of(document)["containers"][0]["envFrom"] = sources
    data = dict(line.split("=", 1) for line in generator["literals"])
    return [*found, {"kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}]


def secret_files(folder: Path, environment: dict[str, str]) -> Path:
    """Write the Secrets as Kubernetes mounts them, and take them out of the environment."""
    folder.mkdir()
    values = {
        "DATABASE_URL": environment.pop("DATABASE_URL"),
        "CELERY_BROKER_URL": environment.pop("CELERY_BROKER_URL"),
        "DJANGO_SECRET_KEY": SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": FIELD_KEY,
        "DJANGO_SUPERUSER_PASSWORD": "a-password-of-the-test",
        "FLOWER_BASIC_AUTH": PASSWORD,
    }
    for name, value in values.items():
        (folder / name).write_text(value + "\n")
    for name in ("DJANGO_SECRET_KEY", "FIELD_ENCRYPTION_KEYS"):
        environment.pop(name, None)
    return folder


def run_job(pod: Pod) -> None:
    """Run a Job's container to its end."""
    done = subprocess.run(
        [str(ROOT / "docker" / "entrypoint.sh"), *pod.arguments],
        cwd=os.sep,
        env=pod.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
