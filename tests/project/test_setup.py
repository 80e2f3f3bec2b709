"""scripts/setup.sh: which Python .venv/ is built from, and when it is built again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.files import ROOT


@pytest.fixture
def clone(tmp_path):
    """Make a tree with nothing to install."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("")
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    return tmp_path


def interpreter(folder: Path, answer: str) -> str:
    """Write a program that is this Python but for what it says of itself."""
    path = folder / "python-of-another"
    path.write_text(f'#!/bin/sh\ncase "$*" in *sys.*) {answer} ;; esac\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def setup(clone: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": python, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        ["scripts/setup.sh"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_the_python_that_is_named_is_taken_and_kept(clone):
    first = setup(clone, sys.executable)
    again = setup(clone, sys.executable)
    unnamed = setup(clone)

    assert first.returncode == 0, first.stderr
    assert "Building .venv/ with Python" in first.stdout
    home = subprocess.run(
        [clone / ".venv/bin/python", "-c", "import sys; print(sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert home.stdout.strip() == sys.base_prefix
    assert again.stdout == unnamed.stdout == ""


def test_another_python_builds_it_again(clone, tmp_path):
    setup(clone, sys.executable)

    other = setup(
        clone, interpreter(tmp_path, 'case "$*" in *base_prefix*) echo /other 3.12.0; exit ;; esac')
    )

    assert "Building .venv/ with Python" in other.stdout


def test_changed_requirements_install_without_building(clone):
    setup(clone, sys.executable)
    (clone / "requirements" / "dev.txt").write_text("# changed\n")

    changed = setup(clone)

    assert "Installing requirements/dev.txt" in changed.stdout
    assert "Building" not in changed.stdout


@pytest.mark.parametrize("version", ["3.10", "3.15"])
def test_a_python_outside_the_range_is_refused(clone, tmp_path, version):
    numbers = version.replace(".", ", ")
    known = f"{sys.executable} -c 'import sys; sys.version_info = ({numbers}); exec(sys.argv[1])' \"$2\""

    refused = setup(clone, interpreter(tmp_path, f"{known}; exit"))

    assert refused.returncode == 1
    assert "Python 3.11 to 3.14 is needed; " in refused.stderr
    assert not (clone / ".venv").exists()
