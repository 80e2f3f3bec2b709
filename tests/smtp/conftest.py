"""A listener on a free port for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.listeners import Listener
from mailrelay.routing.table import Directory
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ServiceThread, SmtpService
from tests.smtp.smtp_server import LOOPBACK, SENDER, Address, Door, Queue


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Start listeners with options of one's own."""
    opened: list[Door] = []

    def start(
        directory: Directory | None = None, *, listener: Listener | None = None, **options: Any
    ) -> Door:
        queue = Queue()
        options.setdefault("min_free_bytes", 0)
        options.setdefault("data_dir", tmp_path)
        options.setdefault("login_delay_seconds", 0.0)
        door = Door(queue, directory or Directory((SENDER,), (LOOPBACK,)), None, tmp_path)  # type: ignore[arg-type]
        service = SmtpService(
            [listener or Address()], door.look_up, queue, SmtpOptions(hostname="relay.example.org", **options)
        )
        door.thread = ServiceThread(service)
        door.thread.start()
        opened.append(door)
        return door

    yield start
    for door in opened:
        door.thread.stop(1.0)


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()
