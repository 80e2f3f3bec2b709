"""Bounces as their readers get them: parsed from what the sandbox was sent."""

import email
import http.server
import json
import threading
from email import policy

import pytest

from tests.harness.ports import eventually
from tests.harness.processes import rows


class Reports:
    """The reports that the sandbox delivered, parsed."""

    def __init__(self, stack):
        self.stack = stack

    def all(self):
        mails = [
            email.message_from_bytes(self.stack.sandbox.raw(mail["seq"]), policy=policy.default)
            for mail in self.stack.delivered()
        ]
        return [mail for mail in mails if mail.get_content_type() == "multipart/report"]

    def one(self, timeout=60.0):
        """Wait for the first, and for the mark on the delivery that it tells about."""
        eventually(self.all, timeout, "a report")
        (report,) = self.all()
        return report

    def untold(self):
        query = "SELECT COUNT(*) FROM mailrelay_delivery WHERE state = 'failed' AND bounced_at IS NULL"
        return rows(self.stack.environment, query)[0][0]

    def wait_until_told(self, timeout=60.0):
        eventually(lambda: self.untold() == 0, timeout, "all failures being told about")


@pytest.fixture
def reports(embedded):
    embedded.environment |= {"BOUNCE_POLICY": "sender"}
    return Reports(embedded)


class Webhook:
    """A server that notes what it is told, and refuses the first `refusals` of it."""

    def __init__(self):
        self.notices, self.keys, self.refusals = [], [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refuse = outer.refusals > 0
                outer.refusals -= refuse
                if not refuse:
                    outer.notices.append(json.loads(body))
                outer.keys.append(self.headers["Idempotency-Key"])
                self.send_response(500 if refuse else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/token-in-the-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook():
    server = Webhook()
    yield server
    server.close()
