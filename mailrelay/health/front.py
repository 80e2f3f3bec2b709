"""The address of HTTP_LISTEN: answers probes itself, at once, and passes other requests on to the pages.

It runs from the first moment of a process, before Django is loaded, and never waits for a page, a database
or a slow client: a liveness probe must not fail because a web server has as many connections as it takes.
It looks at the head of a request without taking it from the socket (MSG_PEEK): the page server then reads it
whole. Nothing but the standard library is imported here.
"""

import logging
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, Self

log = logging.getLogger(__name__)

#: Seconds within which the head of a request has to be complete.
HEAD_SECONDS = 10.0
#: Bytes that a head may have.
HEAD_BYTES = 32 * 1024
#: Connections whose head is not complete, in all and of one address; the oldest makes room for a new one.
WAITING, WAITING_OF_ONE = 256, 64
#: Seconds for an answer to be taken by who asked.
ANSWER_SECONDS = 5.0
#: Scrapes of /metrics at a time: each takes a thread of its own, since it is no quick answer.
SCRAPES = 4
BACKLOG = 512
METHODS = ("GET", "HEAD")


class Answer(NamedTuple):
    """What a probe says."""

    status: HTTPStatus
    content_type: str
    body: bytes


Probe = Callable[[], Answer]


class Pages(Protocol):
    """What serves every other path."""

    def refuses(self, host: str) -> bool:
        """Whether `host` has as many connections as it may."""

    def adopt(self, connection: socket.socket, address: Any) -> None:
        """Serve `connection`, whose request has not been read yet."""


@dataclass(eq=False)
class _Client:
    """A connection whose request is still awaited."""

    socket: socket.socket
    address: Any
    until: float
    #: Bytes of the head that have come.
    seen: int = 0

    @property
    def host(self) -> str:
        return str(self.address[0])


class Front:
    """Answers at its listeners. `probes` and `pages` may be replaced at any time by any thread."""

    def __init__(self, listeners: Sequence[socket.socket], probes: Mapping[str, Probe]) -> None:
        """Make what answers anyone who connects to `listeners`, once started; it closes them at its end."""
        self.probes = probes
        self.slow_probes: Mapping[str, Probe] = {}
        self.pages: Pages | None = None
        #: What other requests get where there are no pages: not yet, or none at all.
        self.without_pages = HTTPStatus.SERVICE_UNAVAILABLE
        self.listeners = listeners
        self._clients: dict[_Client, None] = {}  # the oldest first
        self._per_host: Counter[str] = Counter()
        self._scrapes = threading.BoundedSemaphore(SCRAPES)
        self._ended = False
        self._selector = selectors.DefaultSelector()
        for listener in self.listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="http-front", daemon=True)

    def start(self) -> Self:
        """Answer from a thread from now on; a second call changes nothing."""
        if self._thread.ident is None:
            self._thread.start()
        return self

    @property
    def port(self) -> int:
        return int(self.listeners[0].getsockname()[1])

    def stop(self) -> None:
        """Take no more connections, and close those whose request has not come."""
        self._ended = True
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.5):
                try:
                    self._attend(key)
                except Exception:
                    log.exception("a request at the probes' address failed")
            self._end_the_late()
        for listener in self.listeners:
            listener.close()
        for client in list(self._clients):
            self._close(client)
        self._selector.close()

    def _attend(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, _Client):
            self._look(key.data)
        else:
            self._accept(key.fileobj)

    def _accept(self, listener: Any) -> None:
        try:
            connection, address = listener.accept()
        except OSError:  # it went away, or this process may open no more files: the next look tries again
            time.sleep(0.01)
            return
        connection.setblocking(False)
        client = _Client(connection, address, time.monotonic() + HEAD_SECONDS)
        self._make_room(client.host)
        self._clients[client] = None
        self._per_host[client.host] += 1
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _make_room(self, host: str) -> None:
        if self._per_host[host] >= WAITING_OF_ONE:
            self._close(next(each for each in self._clients if each.host == host))
        elif len(self._clients) >= WAITING:
            self._close(next(iter(self._clients)))

    def _end_the_late(self) -> None:
        now = time.monotonic()
        for client in list(self._clients):
            if client.until > now:
                break
            _reply(client.socket, HTTPStatus.REQUEST_TIMEOUT)
            self._close(client)

    def _look(self, client: _Client) -> None:
        """See whether the head of the request is complete, and who answers it."""
        try:
            seen = client.socket.recv(HEAD_BYTES, socket.MSG_PEEK)
        except OSError:
            seen = b""
        if len(seen) <= client.seen:  # it has ended, and sends no more
            self._close(client)
        elif end := _end_of_head(seen):
            self._release(client)
            self._answer(client, seen, end)
        elif len(seen) >= HEAD_BYTES:
            _reply(client.socket, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            self._close(client)
        else:  # the next look is worth it only when there is more
            client.seen = len(seen)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + 1)

    def _answer(self, client: _Client, seen: bytes, end: int) -> None:
        method, path = _asked(seen[:end])
        quick, slow = self.probes.get(path), self.slow_probes.get(path)
        pages = self.pages
        if not method:
            client.socket.recv(end)
            _reply(client.socket, HTTPStatus.BAD_REQUEST)
            client.socket.close()
        elif method in METHODS and (quick or slow):
            client.socket.recv(end)
            if quick:
                _finish(client.socket, method, quick)
            elif slow:
                self._scrape(client.socket, method, slow)
        elif pages is None or pages.refuses(client.host):
            client.socket.recv(end)
            _reply(client.socket, HTTPStatus.SERVICE_UNAVAILABLE if pages else self.without_pages)
            client.socket.close()
        else:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            pages.adopt(client.socket, client.address)

    def _scrape(self, connection: socket.socket, method: str, probe: Probe) -> None:
        if not self._scrapes.acquire(blocking=False):
            _reply(connection, HTTPStatus.SERVICE_UNAVAILABLE)
            connection.close()
            return

        def work() -> None:
            try:
                _finish(connection, method, probe)
            finally:
                self._scrapes.release()

        threading.Thread(target=work, name="scrape", daemon=True).start()

    def _release(self, client: _Client) -> None:
        """Look at it no more."""
        del self._clients[client]
        self._per_host[client.host] -= 1
        if not self._per_host[client.host]:
            del self._per_host[client.host]
        self._selector.unregister(client.socket)

    def _close(self, client: _Client) -> None:
        self._release(client)
        with suppress(OSError):  # what is unread would make the kernel reset the connection, answer included
            client.socket.recv(HEAD_BYTES)
        client.socket.close()


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen at each address that `host` stands for. Raises OSError."""
    found: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listener = socket.socket(family, kind, proto)
            found.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
    except OSError:
        for listener in found:
            listener.close()
        raise
    return found


def _end_of_head(seen: bytes) -> int:
    """Return the length of the head with the blank line that ends it (RFC 9112, 2.1); 0 without one."""
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := seen.find(mark)) >= 0]
    return min(ends, default=0)


def _asked(head: bytes) -> tuple[str, str]:
    """Return method and path of the request line; empty where it is none, or where its length is in doubt."""
    line, _, fields = head.lstrip(b"\r\n").partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or _has_two_lengths(fields):
        return "", ""
    return words[0], words[1].partition("?")[0]


def _has_two_lengths(fields: bytes) -> bool:
    """Whether a proxy in front may see another end of this request (RFC 9112, 6.1 and 6.3)."""
    names = Counter(line.partition(b":")[0].strip().lower() for line in fields.split(b"\n"))
    lengths = names[b"content-length"]
    return lengths > 1 or bool(lengths and names[b"transfer-encoding"])


def _finish(connection: socket.socket, method: str, probe: Probe) -> None:
    """Send what `probe` says, and close."""
    try:
        answer = probe()
    except Exception:
        log.exception("a probe failed")
        answer = Answer(
            HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"A probe failed; the log says why.\n"
        )
    with connection:
        _send(connection, answer, with_body=method == "GET")


def _reply(connection: socket.socket, status: HTTPStatus) -> None:
    text = f"{status.phrase}. This address serves /health, /ready and /metrics.\n"
    _send(connection, Answer(status, "text/plain", text.encode()))


def _send(connection: socket.socket, answer: Answer, *, with_body: bool = True) -> None:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    with suppress(OSError):
        connection.settimeout(ANSWER_SECONDS)
        connection.sendall(head.encode("latin-1") + (answer.body if with_body else b""))
        connection.shutdown(socket.SHUT_WR)
