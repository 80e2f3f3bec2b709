"""The workflows do what `make` does and nothing else, and a release says what changed."""

import re
import subprocess

import pytest
import yaml

from scripts.release_notes import notes
from tests.deploy.tools import ROOT, run

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(path) -> list[dict]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflow_fits_the_schema(path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))

    assert done.returncode == 0, done.stdout


def test_dependabot_watches_every_lock():
    file = ROOT / ".github" / "dependabot.yml"
    done = run("check-jsonschema", "--builtin-schema", "vendor.dependabot", str(file))
    watched = {(u["package-ecosystem"], u["directory"]) for u in yaml.safe_load(file.read_text())["updates"]}

    assert done.returncode == 0, done.stdout
    assert all((ROOT / folder.lstrip("/")).is_dir() for _, folder in watched)
    assert {kind for kind, _ in watched} == {"pip", "docker", "docker-compose", "github-actions", "npm"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflow_calls_targets_of_make(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    own = [command for command in commands if not re.match(r"((sudo )?apt-get|gh release) ", command)]
    called = {re.search(r"\bmake ([a-z-]+)", command)[1] for command in own}

    assert called <= TARGETS
    assert called


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflow_may_write_only_where_it_says_so(path):
    workflow = yaml.safe_load(path.read_text())

    assert workflow["permissions"] == {"contents": "read"}
    for step in steps(path):
        assert re.search(r"@v\d|@[0-9a-f]{40}", step.get("uses", "@v0"))
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_a_release_is_built_for_both_architectures_scanned_listed_and_signed():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    order = [text.index(word) for word in ("make release-notes", "make image VERSION", "make image-scan")]
    order += [text.index(word) for word in ("make image-sbom", "make image-sign", "gh release create")]

    assert "linux/amd64,linux/arm64" in text
    assert order == sorted(order)


def test_the_notes_of_a_release_are_its_section_of_the_changelog():
    text = "# Changelog\n\n## 1.1.0 - 2027-01-02\n\n- new\n\n## 1.0.0\n\n- first\n"

    assert notes(text, "1.1.0") == "- new\n"
    assert notes(text, "1.0.0") == "- first\n"
    with pytest.raises(ValueError, match=r"nothing under the heading 2\.0\.0"):
        notes(text, "2.0.0")


def test_the_versions_of_manifests_and_project_are_one():
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    tags = [
        yaml.safe_load((ROOT / "deploy" / "overlays" / name / "kustomization.yaml").read_text())["images"][0][
            "newTag"
        ]
        for name in ("single", "scaled")
    ]

    assert tags == [version, version]
    assert f"graph-mail-gateway:{version}}}" in (ROOT / "docker" / "compose.yaml").read_text()


def test_make_lock_makes_every_lock():
    done = subprocess.run(["make", "--dry-run", "lock"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert all(f"requirements/{path.name}" in done.stdout for path in (ROOT / "requirements").glob("*.txt"))
