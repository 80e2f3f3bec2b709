"""The checkers of docker/ and deploy/, and what `kubectl kustomize` makes of a folder."""

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv" / "tools"
OVERLAYS = ("single", "scaled")


def absent(what: str, how: str) -> None:
    """Skip a test whose tool is not here; fail it on a machine that should have it."""
    reason = f"{what} is not on this machine: {how}"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def tool(name: str) -> str:
    """Find a checker that scripts/deploy-tools.sh installs, or a program of the machine."""
    found = shutil.which(name, path=os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", "")]))
    if found is None:
        absent(name, "scripts/deploy-tools.sh installs the checkers, `make services-test` names the programs")
    return found


def run(name: str, *arguments: str, **more) -> subprocess.CompletedProcess:
    command = [tool(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=ROOT, **more)


def node(script: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a script of tests/deploy/schemas where its modules are."""
    if not (TOOLS / "node" / "node_modules").is_dir():
        absent("the schemas of custom kinds", "scripts/deploy-tools.sh installs them where npm is")
    return run("node", f"tests/deploy/schemas/{script}", str(TOOLS / "node"), *arguments)


@lru_cache
def built(folder: str) -> str:
    """Build a folder with kustomize; AssertionError with what it says where it does not build."""
    if not shutil.which("kubectl"):
        # Debian's kubectl knows an older kustomize; no reason to fail where there is none.
        pytest.skip("kubectl with kustomize 5 is not on this machine; nothing else builds overlays")
    done = run("kubectl", "kustomize", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(folder: str) -> list[dict]:
    return [document for document in yaml.safe_load_all(built(folder)) if document]


def one(documents: list[dict], kind: str, name: str) -> dict:
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(workload: dict) -> dict:
    return workload["spec"]["template"]["spec"]


def with_components(folder: Path, overlay: str, components: list[str]) -> str:
    """Make a kustomization of an overlay with more components, as docs/deploy.md tells a person to."""
    # kustomize takes folders by relative path alone.
    up = os.path.relpath(ROOT / "deploy", folder)
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{up}/overlays/{overlay}"],
        "components": [f"{up}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return str(folder)
