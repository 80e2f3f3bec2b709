"""What log lines show of a failure, and what they must not."""

import subprocess
import sys

import pytest

from tests.harness.processes import ROOT

FAILS = """
import logging
from gateway.logs import configure

def fail():
    held = "Unm1stakable~" + "local.value"
    raise ValueError("what happened")

configure({"level": "INFO", "format": "%s"})
try:
    fail()
except ValueError:
    logging.getLogger("test").exception("it failed")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_tells_where_and_shows_no_local_variable(form):
    done = subprocess.run(
        [sys.executable, "-c", FAILS % form],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert "what happened" in done.stderr
    assert "in fail" in done.stderr
    assert "Unm1stakable~local.value" not in done.stderr
