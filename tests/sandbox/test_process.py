"""The process: its files, its ends, and what outlives a restart."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509

from sandbox import certificates
from sandbox.client import SandboxProcess
from sandbox.ledger import Ledger
from tests.sandbox.graph_client import Graph, mail


def test_it_says_where_it_is_when_it_is_ready(sandbox):
    ready = json.loads((sandbox.directory / "sandbox.json").read_text())
    assert ready["pid"] == sandbox.pid
    assert (ready["base_url"], ready["page_url"]) == (sandbox.base_url, sandbox.page_url)
    assert Path(ready["ca_file"]).is_file()


def test_its_files_are_for_their_owner_alone(sandbox):
    files = [path for path in sandbox.directory.iterdir() if path.name != "sandbox.log"]
    names = {path.name for path in files}
    assert {"ca.pem", "sandbox.pem", "entra.pem", "sandbox.json", "ledger.jsonl"} <= names
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_client_that_does_not_trust_the_ca_is_kept_out(sandbox):
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.exceptions.SSLError):
        session.get(sandbox.base_url, timeout=30)


def test_certificates_are_reused_while_they_are_valid(tmp_path):
    first = certificates.prepare(tmp_path, ["localhost"]).server_file.read_bytes()
    assert certificates.prepare(tmp_path, ["localhost"]).server_file.read_bytes() == first
    certificates.prepare(tmp_path, ["localhost", "sandbox.test"])
    assert (tmp_path / "sandbox.pem").read_bytes() != first


def test_a_certificate_near_its_end_is_made_anew(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "LIFETIME", certificates.RENEW_BEFORE)
        certificates.prepare(tmp_path, ["localhost"])
    certificates.prepare(tmp_path, ["localhost"])
    fresh = x509.load_pem_x509_certificate((tmp_path / "sandbox.pem").read_bytes())
    assert fresh.not_valid_after_utc - fresh.not_valid_before_utc > certificates.LIFETIME


def test_the_certificate_passes_strict_verification(sandbox):
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    session = requests.Session()
    session.trust_env = False
    adapter = requests.adapters.HTTPAdapter()
    adapter.init_poolmanager(1, 1, ssl_context=context)
    session.mount("https://", adapter)
    url = f"{sandbox.base_url}/common/discovery/instance"
    assert session.get(url, verify=sandbox.ca_file, timeout=30).status_code == 200


def test_a_restart_keeps_ports_tokens_and_the_numbers_of_the_ledger(tmp_path):
    with SandboxProcess(tmp_path) as sandbox:
        graph = Graph(sandbox)
        graph.send(mail("Message-ID: <1@contoso.test>"))
        urls = sandbox.base_url, sandbox.upload_url, sandbox.page_url
        sandbox.stop()
        assert not (tmp_path / "sandbox.json").exists()
        sandbox.start()
        assert (sandbox.base_url, sandbox.upload_url, sandbox.page_url) == urls
        assert sandbox.deliveries() == []
        graph.send(mail("Message-ID: <2@contoso.test>"))
        applied = sandbox.ledger(where=lambda line: line["decision"] == "applied")
        assert [line["deliveries"] for line in applied] == [[1], [2]]
        numbers = [line["seq"] for line in sandbox.ledger()]
        assert numbers == sorted(set(numbers))


def test_a_kill_loses_no_line_of_the_ledger(tmp_path):
    with SandboxProcess(tmp_path) as sandbox:
        graph = Graph(sandbox)
        answers = [graph.send().status_code for _ in range(20)]
        sandbox.kill()
        assert answers == [202] * 20
        assert len(sandbox.ledger(where=lambda line: line["decision"] == "applied")) == 20
        sandbox.start()


def test_a_torn_last_line_does_not_disturb_the_numbering(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"seq": 7, "deliveries": [3], "last_delivery": 3}\n{"seq": 8, "deliv')
    ledger = Ledger(path)
    assert (ledger.next_request(), ledger.next_delivery()) == (8, 4)
    ledger.write({"seq": 8})
    ledger.close()
    assert json.loads(path.read_text().splitlines()[-1]) == {"seq": 8}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path, number):
    sandbox = SandboxProcess(tmp_path)
    sandbox.start()
    process = sandbox.process
    Graph(sandbox).send()
    os.kill(process.pid, number)
    assert process.wait(60) == 0
    assert not (tmp_path / "sandbox.json").exists()


def test_it_ends_although_a_request_hangs(tmp_path):
    with SandboxProcess(tmp_path) as sandbox:
        sandbox.fault("sendMail", "hang", seconds=3600)
        with pytest.raises(requests.RequestException):
            Graph(sandbox).send(timeout=2)
        process = sandbox.process
        process.terminate()
        assert process.wait(60) == 0


def test_it_ends_with_its_parent(tmp_path):
    program = (
        "import sys, os; from sandbox.client import SandboxProcess\n"
        "s = SandboxProcess(sys.argv[1]); s.start(); print(s.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    parent = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment, check=False
    )
    assert int(parent.stdout) > 0
    deadline = time.monotonic() + 60
    while (tmp_path / "sandbox.json").exists():
        assert time.monotonic() < deadline, "the sandbox outlived its parent"
        time.sleep(0.05)


def test_while_paused_it_answers_nothing_and_afterwards_everything(tmp_path):
    with SandboxProcess(tmp_path) as sandbox:
        graph = Graph(sandbox)
        graph.send()
        sandbox.pause()
        with pytest.raises(requests.ReadTimeout):
            graph.send(timeout=1)
        sandbox.resume()
        sandbox.wait_for_deliveries(2)


def test_it_says_why_it_cannot_start(tmp_path, sandbox):
    port = sandbox.base_url.rpartition(":")[2]
    with pytest.raises(RuntimeError, match="cannot start"):
        SandboxProcess(tmp_path, "--port", port).start()


def test_it_starts_without_django(sandbox):
    program = (
        "import sys, sandbox.__main__, sandbox.client\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('django', 'celery', 'gateway', 'msal')\n"
        "       or m.startswith('mailrelay.') and not m.startswith('sandbox')])"
    )
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, check=True)
    assert found.stdout.strip() == b"[]"


def test_a_world_file_is_the_world_that_a_reset_returns_to(tmp_path):
    path = tmp_path / "world.json"
    path.write_text('{"limits": {"concurrency": 9}}')
    with SandboxProcess(tmp_path / "data", "--world", str(path)) as sandbox:
        sandbox.world(limits={"concurrency": 1})
        sandbox.reset()
        assert sandbox.world()["limits"]["concurrency"] == 9


def test_a_request_that_breaks_off_in_its_body_is_not_applied(sandbox):
    graph, address = Graph(sandbox), urlsplit(sandbox.base_url)
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    head = (
        "POST /v1.0/users/gateway@contoso.test/sendMail HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        f"Authorization: Bearer {graph.token}\r\nContent-Length: 1000\r\n\r\n"
    )
    before = len(sandbox.ledger())
    with (
        socket.create_connection((address.hostname, address.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        connection.sendall(head.encode() + b"A" * 500)
    deadline = time.monotonic() + 60
    while len(sandbox.ledger()) == before:
        assert time.monotonic() < deadline, "the sandbox never noticed"
        time.sleep(0.02)
    assert sandbox.ledger()[-1]["decision"] == "aborted"
    assert sandbox.stats()["in_flight"] == 0
    assert sandbox.deliveries() == []
    assert "Traceback" not in sandbox.log_file.read_text()


def test_the_management_command_is_the_same_program(tmp_path):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "manage.py", "runsandbox", "--data-dir", str(tmp_path / "sandbox")]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--port", "0", "--page-port", "0"], cwd=root, env=environment
    ) as process:
        try:
            deadline = time.monotonic() + 90
            while not (tmp_path / "sandbox" / "sandbox.json").exists():
                assert process.poll() is None, "it ended before it was ready"
                assert time.monotonic() < deadline, "it did not become ready"
                time.sleep(0.05)
        finally:
            process.terminate()
        assert process.wait(60) == 0
