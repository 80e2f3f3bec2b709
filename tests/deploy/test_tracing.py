"""A mail's id in every log line and as its trace, from the SMTP session through the task to Graph."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import UUID

import pytest

from tests.deploy.tools import ROOT, TOOLS, absent
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

PACKAGES = TOOLS / "tracing"


@pytest.fixture
def collector():
    """An OTLP endpoint that keeps what it is sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()


def traced(url: str) -> dict[str, str]:
    if not (PACKAGES / "opentelemetry").is_dir():
        absent("OpenTelemetry", "scripts/deploy-tools.sh installs it for these tests")
    return {"PYTHONPATH": str(PACKAGES), "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def lines_about(process, queue_id: str) -> list[dict]:
    lines = [json.loads(line) for line in process.output().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message_id") == queue_id]


def test_the_trace_of_a_mail_has_its_id(embedded, collector):
    url, bodies = collector
    embedded.environment |= traced(url)
    process = embedded.start()
    queue_id = send(process.smtp_port, mail(1))
    embedded.wait_for(sent=1)
    spans = (b"smtp", b"deliver")

    def seen() -> bool:
        mine = [body for body in bodies if UUID(queue_id).bytes in body]
        return all(any(span in body for body in mine) for span in spans)

    eventually(seen, what="the spans of the mail")
    assert not any(b"ann@example.org" in body or b"mail 1" in body for body in bodies)


def in_a_process(environment: dict[str, str], code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


CODE = """
from uuid import UUID
from mailrelay import tracing
with tracing.span("deliver", UUID(int=0xabc)):
    print(tracing.headers().get("traceparent", "none"))
"""


def test_a_request_to_graph_carries_the_trace(collector):
    url, _ = collector

    assert in_a_process(traced(url), CODE).startswith(f"00-{'abc':0>32}-")


def test_without_an_endpoint_nothing_is_traced_and_nothing_is_needed():
    assert in_a_process({}, CODE) == "none"


def test_an_endpoint_without_the_packages_is_said_and_nothing_fails(embedded):
    process = embedded.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    send(process.smtp_port, mail(1))
    embedded.wait_for(sent=1)

    assert "requirements/tracing.txt is not installed" in process.output()


def test_log_lines_of_a_mail_carry_its_ids_and_no_address(embedded):
    process = embedded.start(LOG_FORMAT="json")
    queue_id = send(process.smtp_port, mail(1))
    embedded.wait_for(sent=1)
    accepted, *attempts = eventually(
        lambda: lines if len(lines := lines_about(process, queue_id)) > 1 else [],
        what="the log of the attempt",
    )

    assert accepted["client"] == "127.0.0.1"
    assert attempts
    for line in attempts:
        assert line["task_id"].startswith(f"{queue_id}.")
        assert (line["sender"], line["client"]) == ("environment", "127.0.0.1")
    assert "ann@example.org" not in process.output()
    assert "mail 1" not in process.output()
