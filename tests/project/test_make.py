"""`make` is the one door, and says what it can do."""

import re
import subprocess
import sys
from importlib import util

import pytest

from tests.project.files import ROOT

CONTRACT = {
    *("help", "setup", "demo", "test", "test-newest", "run", "lint", "fmt", "lock", "docs", "screenshots"),
    *("bench", "soak", "services-test", "ci", "deploy-tools"),
    *("image", "image-test", "image-scan", "image-sbom", "image-sign", "release-notes"),
}


def test_help_lists_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make (\S+) +\S", done.stdout, re.MULTILINE))
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert listed == targets == CONTRACT


def test_setup_has_nothing_to_do_where_it_was_done():
    if sys.prefix != str(ROOT / ".venv") or not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("these tests run outside the .venv that make setup built")

    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "nstalling" not in done.stdout


def test_the_continuous_check_makes_what_a_developer_makes():
    text = (ROOT / ".ci" / "run").read_text()

    assert "\nmake lint\n" in text
    assert "make demo ONCE=1" in text
    for target in ("test", "test-newest", "image-test"):
        assert re.search(rf"^REQUIRE_SERVICES=1 timeout .* make {target}\b", text, re.MULTILINE)
    assert "\nexport PYTHON=/usr/bin/python3.11\n" in text


def test_every_file_promises_the_same_range_of_pythons():
    said = {
        "pyproject.toml": 'requires-python = ">=3.11,<3.15"',
        "scripts/setup.sh": "not (3, 11) <= sys.version_info < (3, 15)",
        "README.md": "Python 3.11 to 3.14",
        "Makefile": "Python 3.11 to 3.14",
        "mailrelay/mime/selftest.py": "from 3.11 to 3.14",
        "scripts/newest-python.sh": "VERSIONS:-3.13 3.14",
        "docker/Dockerfile": "PYTHON_IMAGE=python:3.11.",
    }

    assert {name: words for name, words in said.items() if words not in (ROOT / name).read_text()} == {}


@pytest.fixture
def run_script():
    spec = util.spec_from_file_location("run_script", ROOT / "scripts" / "run.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_secret_in_the_env_file_is_taken_as_it_stands(run_script):
    text = "# ours\nAZURE_CLIENT_SECRET=a~b$c #d\n\nexport SENDER_EMAIL='x@y.test'\r\nSMTP_HOSTNAME=\n"

    assert run_script.variables(text) == {
        "AZURE_CLIENT_SECRET": "a~b$c #d",
        "SENDER_EMAIL": "x@y.test",
        "SMTP_HOSTNAME": "",
    }


def test_a_line_that_is_no_variable_is_named_without_its_content(run_script):
    with pytest.raises(ValueError, match=r"^line 2 is not NAME=value$"):
        run_script.variables("A=1\nsecret-without-a-name\n")
