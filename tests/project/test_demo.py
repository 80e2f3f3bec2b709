"""The demonstration proves itself, and leaves nothing behind however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.ports import eventually
from tests.project.files import ROOT

pytestmark = pytest.mark.slow


def demo(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "scripts/demo.py", "--once"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_with(folder: Path) -> list[str]:
    """List processes whose environment names `folder`; where there is no /proc, none can be seen."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def test_it_shows_a_mail_delivered_and_one_that_failed(tmp_path):
    process = demo(tmp_path)
    output, _ = process.communicate(timeout=110)

    assert process.returncode == 0, output
    words = [line.split()[2] for line in output.splitlines() if " s  " in line]
    assert words == ["started", "accepted", "task", "Graph", "delivered", "accepted", "Graph", "failed"]
    assert "blind to carol@example.com, byte for byte as sent" in output
    assert "400 ErrorInvalidRecipients" in output
    assert "/admin/   login admin, password " in output
    assert not list(tmp_path.iterdir())
    assert not processes_with(tmp_path)


def test_it_leaves_nothing_behind_when_it_is_stopped_half_way(tmp_path):
    process = demo(tmp_path)
    eventually(lambda: processes_with(tmp_path / "mail-gateway-demo"), what="the gateway's start")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=110)

    assert process.returncode == 128 + signal.SIGTERM, output
    assert not list(tmp_path.iterdir())
    assert not processes_with(tmp_path)


def test_it_fails_when_the_gateway_ends(tmp_path):
    process = demo(tmp_path)
    gateways = eventually(lambda: processes_with(tmp_path / "mail-gateway-demo"), what="the gateway's start")
    os.kill(int(gateways[0]), signal.SIGKILL)
    output, _ = process.communicate(timeout=110)

    assert process.returncode == 1, output
    assert "The demo failed: the gateway ended with status -9" in output
    assert not list(tmp_path.iterdir())
