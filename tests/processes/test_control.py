"""Commands beside a gateway in a small container: carried out by it, or refused with what to do."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mailrelay import memory
from mailrelay.processes import remote
from tests.harness.ports import eventually
from tests.harness.processes import ROOT, GatewayProcess, base_environment

#: Stands before manage.py: as in a container of 128 MiB.
SCARCE = """
import runpy, sys
from mailrelay import memory
memory.limit = lambda: 128 * 2**20
memory.left = lambda: {left} * 2**20
sys.argv = ["manage.py", *sys.argv[1:]]
runpy.run_path("manage.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, sandbox_of_module):
    with GatewayProcess(base_environment(tmp_path_factory.mktemp("data"), sandbox_of_module)) as process:
        eventually(lambda: process.get("/ready") == 200, what="readiness")
        yield process


def run(gateway, *words: str, left: int = 20, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", SCARCE.format(left=left), *words],
        cwd=ROOT,
        env=gateway.environment | more,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def said(done: subprocess.CompletedProcess) -> str:
    return done.stdout + "".join(
        f"{line}\n" for line in done.stderr.splitlines() if not line.startswith("import time:")
    )


def test_the_gateway_carries_commands_out_and_nothing_else_is_loaded(gateway):
    sent = run(gateway, "sendtest", "--to", "ann@example.org")
    listed = run(gateway, "mailq", "--json")

    assert sent.returncode == 0 and "sent" in sent.stdout, said(sent)
    assert json.loads(listed.stdout.splitlines()[0])["state"] == "sent"
    assert "django" not in sent.stderr and "django" not in listed.stderr


def test_exit_codes_and_errors_come_back(gateway):
    unknown = run(gateway, "mailq", "show", "0" * 32)
    wrong = run(gateway, "mailq", "--state", "nothing")

    assert unknown.returncode == 1 and "CommandError: " in said(unknown)
    assert wrong.returncode != 0 and "nothing" in said(wrong)


def test_a_command_that_would_not_fit_is_refused(gateway):
    refused = run(gateway, "settingsdoc", "--check")

    assert refused.returncode == 1
    assert "20 MiB left" in said(refused) and "GATEWAY_RUN_ANYWAY=1" in said(refused)


def test_a_command_that_fits_runs_by_itself(gateway):
    assert "django" in run(gateway, "check", left=100).stderr
    assert "django" in run(gateway, "check", GATEWAY_RUN_ANYWAY="1").stderr


def test_the_gateway_goes_on_after_commands_and_who_goes_away(gateway):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{gateway.environment['DATA_DIR']}/{remote.SOCKET}")
            client.sendall(b'["doctor"]\n')
    for garbage in (b"{}\n", b'["rungateway"]\n', b'["shell", "-c", "1"]\n', b"\xff\n", b"[1]\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{gateway.environment['DATA_DIR']}/{remote.SOCKET}")
            client.sendall(garbage)
            assert client.recv(10) == b""

    eventually(lambda: run(gateway, "sendtest", "--to", "ann@example.org").returncode == 0, 60)
    assert gateway.get("/health") == 200


def test_the_socket_is_for_its_user_alone(gateway):
    assert (Path(gateway.environment["DATA_DIR"]) / remote.SOCKET).stat().st_mode & 0o777 == 0o600


def test_where_no_gateway_runs_the_command_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "limit", lambda: 128 * 2**20)

    assert remote.carried_out(["mailq"], tmp_path) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "134217728\n"}, 134217728),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"memory/memory.limit_in_bytes": "134217728\n"}, 134217728),
        ({}, None),
    ],
)
def test_the_limit_is_that_of_the_cgroup(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    memory.limit.cache_clear()
    try:
        assert memory.limit() == expected
    finally:
        memory.limit.cache_clear()


def test_what_is_left_does_not_count_pages_that_the_kernel_can_drop(tmp_path, monkeypatch):
    files = {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 500\ninactive_file 300\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    memory.limit.cache_clear()
    try:
        assert memory.left() == 400
    finally:
        memory.limit.cache_clear()


def test_what_is_for_the_asker_alone_is_not_carried_out_elsewhere(gateway):
    for words in (["doctor", "--version"], ["mailq", "--hel"], ["config", "apply", "/dev/stdin"]):
        assert "20 MiB left" in said(run(gateway, *words))
    for sent in (b'["doctor", "--version"]\n', b"[" * 60_000 + b"\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{gateway.environment['DATA_DIR']}/{remote.SOCKET}")
            client.sendall(sent)
            assert client.recv(10) == b""
    assert "Traceback" not in gateway.output() and "usage:" not in gateway.output()


def test_names_of_files_are_those_of_the_asker():
    words = ["config", "apply", "senders.yaml", "--dry-run", "ann@example.org", "/etc/x.yaml"]

    absolute = [remote._absolute(word) for word in words]

    assert absolute[:2] == words[:2] and absolute[3:] == words[3:]
    assert absolute[2] == str(Path("senders.yaml").absolute())
