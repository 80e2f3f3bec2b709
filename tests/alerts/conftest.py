"""A webhook that notes what it is told, and rows to be told about."""

import http.server
import json
import threading
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

from mailrelay.models import AlertChannel
from mailrelay.vocabulary import Channel, Condition
from tests.console.conftest import browser, now, registration, root, sender

__all__ = ["browser", "now", "registration", "root", "sender"]


@dataclass
class Webhook:
    """A server on loopback that answers `status`, and notes the documents that it took."""

    status: int = 200
    location: str = ""
    told: list[dict] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                if outer.status < 300:
                    outer.told.append(json.loads(body))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook/s3cret-path"


@pytest.fixture
def webhook(settings):
    settings.ALERT_WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    made = Webhook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def channel(db):
    def make(kind=Channel.WEBHOOK, **columns):
        columns = {"name": kind.value, "conditions": " ".join(Condition), "digest_minutes": 0} | columns
        return AlertChannel.objects.create(kind=kind, **columns)

    return make
