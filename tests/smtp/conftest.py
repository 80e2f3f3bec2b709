"""A listener on a free port for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.listeners import Listener
from mailrelay.routing.table import RoutingTable
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ServiceThread, SmtpService
from tests.smtp.smtp_server import LOOPBACK, SENDER, Address, OwnListener, Queue


@pytest.fixture
def open_smtp_server(tmp_path: Path) -> Iterator[Callable[..., OwnListener]]:
    """Start listeners with options of one's own."""
    opened: list[OwnListener] = []

    def start(
        routing: RoutingTable | None = None, *, listener: Listener | None = None, **options: Any
    ) -> OwnListener:
        queue = Queue()
        options.setdefault("min_free_bytes", 0)
        options.setdefault("data_dir", tmp_path)
        options.setdefault("login_delay_seconds", 0.0)
        smtp_server = OwnListener(queue, routing or RoutingTable((SENDER,), (LOOPBACK,)), None, tmp_path)  # type: ignore[arg-type]
        service = SmtpService(
            [listener or Address()],
            smtp_server.look_up,
            queue,
            SmtpOptions(hostname="relay.example.org", **options),
        )
        smtp_server.thread = ServiceThread(service)
        smtp_server.thread.start()
        opened.append(smtp_server)
        return smtp_server

    yield start
    for smtp_server in opened:
        smtp_server.thread.stop(1.0)


@pytest.fixture
def smtp_server(open_smtp_server: Callable[..., OwnListener]) -> OwnListener:
    return open_smtp_server()
