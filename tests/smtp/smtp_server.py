"""A listener on a free port, with a queue of record that keeps submissions in a list."""

import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import pytest

from gateway.listeners import Listener
from mailrelay.outbox.submission import Submission
from mailrelay.routing.table import Client, RoutingTable, Sender
from mailrelay.smtp.service import ServiceThread, SmtpService
from mailrelay.vocabulary import FromPolicy

PATIENCE = 30.0
second_loopback = pytest.mark.skipif(sys.platform == "darwin", reason="only 127.0.0.1 is set up on macOS")


@dataclass
class Queue:
    """A queue of record that keeps what it gets, or fails as it is told."""

    mails: list[tuple[Submission, bytes]] = field(default_factory=list)
    disowned: list[UUID] = field(default_factory=list)
    failure: BaseException | None = None  # raised by submit
    outcome: BaseException | None = None  # what the future ends with
    stalled: bool = False  # takes nothing for now
    hold: bool = False  # leave futures open in `waiting`
    waiting: list["Future[None]"] = field(default_factory=list)

    def submit(self, submission: Submission) -> "Future[None]":
        if self.failure is not None:
            raise self.failure
        future: Future[None] = Future()
        if self.outcome is not None:
            future.set_exception(self.outcome)
            return future
        self.mails.append((submission, b"".join(submission.content.chunks(65536))))
        if self.hold:
            self.waiting.append(future)
        else:
            future.set_result(None)
        return future

    def disown(self, queue_id: UUID, outcome: "Future[None]") -> bool:
        if outcome.done():
            return False
        self.disowned.append(queue_id)
        return True

    @property
    def last(self) -> Submission:
        return self.mails[-1][0]

    @property
    def content(self) -> bytes:
        """The last mail without the Received field that the listener put on top."""
        return without_trace(self.mails[-1][1])


def without_trace(raw: bytes) -> bytes:
    assert raw.startswith(b"Received: from ")
    lines = raw.split(b"\r\n")
    end = next(n for n, line in enumerate(lines) if n and not line.startswith(b"\t"))
    return b"\r\n".join(lines[end:])


def Address(host="127.0.0.1", port=0, **policy):  # noqa: N802 - a listener, on a free port
    return Listener(host, port, **policy)


SENDER = Sender(
    id=1,
    name="relay",
    registration_id=7,
    mailbox_id=3,
    mailbox_address="relay@example.org",
    addresses=frozenset({"relay@example.org"}),
    domains=frozenset(),
    is_default=True,
    from_policy=FromPolicy.REWRITE,
    rewrite_signed=False,
)
LOOPBACK = Client(None, "SMTP_ALLOWED_NETWORKS", (ip_network("127.0.0.0/8"), ip_network("::1/128")))


def sender(**changes: Any) -> Sender:
    return replace(SENDER, **changes)


@dataclass
class OwnListener:
    """A running listener, and what it was given."""

    queue: Queue
    routing: RoutingTable
    thread: ServiceThread
    data_dir: Path
    directory_failure: Exception | None = None

    @property
    def port(self) -> int:
        return self.thread.service.ports[0]

    @property
    def service(self) -> SmtpService:
        return self.thread.service

    def connect(self, **options: Any) -> "Talk":
        return Talk(self.port, **options)

    def look_up(self) -> RoutingTable:
        if self.directory_failure is not None:
            raise self.directory_failure
        return self.routing


class Talk:
    """A raw SMTP client: says bytes, reads replies."""

    def __init__(self, port: int, *, greeting: bool = True, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self.file = self.socket.makefile("rb")
        if greeting:
            assert self.reply().startswith("220 ")

    def say(self, *lines: str | bytes) -> str:
        """Send lines in one segment each, return the last reply."""
        reply = ""
        for line in lines:
            self.send(line if isinstance(line, bytes) else line.encode() + b"\r\n")
            reply = self.reply()
        return reply

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        """Read one reply, all of its lines; the empty string at the end of the connection."""
        text = b""
        while line := self.file.readline():
            text += line
            if line[3:4] != b"-":
                break
        return text.decode()

    def begin(self, mail_from: str = "app@example.org", *recipients: str) -> None:
        """Come as far as the 354 of DATA."""
        assert self.say("EHLO client.example.org").startswith("250")
        assert self.say(f"MAIL FROM:<{mail_from}>") == "250 2.1.0 Ok\r\n"
        for recipient in recipients or ("to@example.net",):
            assert self.say(f"RCPT TO:<{recipient}>") == "250 2.1.5 Ok\r\n"
        assert self.say("DATA").startswith("354 ")

    def mail(self, content: bytes, mail_from: str = "app@example.org", *recipients: str) -> str:
        """Send one mail as it is, without dot-stuffing, and return the reply to it."""
        self.begin(mail_from, *recipients)
        self.send(content + b".\r\n")
        return self.reply()

    def at_end(self) -> bool:
        """Whether the server closes the connection without another word."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fail when it does not in a generous while."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        threading.Event().wait(0.01)
