"""aiosmtpd's own tests hold for our session, but for differences that docs/decisions gives reasons for."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import aiosmtpd
import pytest

from tests.clients.drivers import TOOLS, needed

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path(aiosmtpd.__file__).parent / "tests"
PAGE = ROOT / "docs/decisions/0014-tests-of-aiosmtpd.md"


def listed() -> dict[str, set[str]]:
    """Read the page: tests by class and name, with the cases that differ; an empty set is all."""
    found = defaultdict(set)
    for line in PAGE.read_text().splitlines():
        if line.startswith("- `"):
            name, *cases = re.findall(r"`([^`]+)`", line)
            found[name].update(cases)
    return found


@pytest.mark.services
@pytest.mark.timeout(300)
def test_what_differs_is_what_was_decided():
    plugins = needed(TOOLS / "python/pytest_mock", "scripts/install-test-clients.sh brings it").parent
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.upstream.substitution", "-p", "pytest_mock"),
            *("-p", "no:django", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null", "-q"),
            *("--rootdir", TESTS.parent, "--tb=no", "-rA", "--timeout", "30"),
            *(TESTS / name for name in ("test_smtp.py", "test_starttls.py", "test_smtpsmuggling.py")),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{plugins}", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    failed: dict[str, set[str]] = defaultdict(set)
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(\w+::\w+)(\[[^\]]*\])?", done.stdout, re.MULTILINE)
    for outcome, name, case in outcomes:
        if outcome != "PASSED":
            failed[name].add(case)
    assert len(outcomes) > 250, done.stdout[-3000:] + done.stderr[-3000:]
    expected = {name: cases or {""} for name, cases in listed().items()}
    assert dict(failed) == expected
