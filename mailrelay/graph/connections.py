"""Connections that say how far a request came, can be shut from outside, and are not reused when old."""

import contextlib
import enum
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.ssltransport import SSLTransport
from urllib3.util.wait import wait_for_read

from mailrelay.graph.keeping import Keeping, Keepings

#: Exchange closes quiet connections without a word; a send on one of them would have an unknown outcome.
IDLE_LIMIT = 30.0

_CHUNK = 65_536  # bytes handed to the socket at once


class Phase(enum.StrEnum):
    """How far a request came."""

    CONNECT = "connect"  # name, TCP, proxy, TLS: nothing of the request has left
    WRITING = "writing"
    WAITING = "waiting"  # all written, no status line yet
    READING = "reading"  # the status and headers are there


class PeerRefusedError(HTTPError):
    """The address that was reached is none that this request may go to; nothing of it was written."""


class RoundTrip:
    """One request on its way: its phase, where it may go, and the socket to shut when its deadline comes."""

    def __init__(self, write_stall: float, may_reach: Callable[[str], bool] | None = None) -> None:
        self.phase = Phase.CONNECT
        self.write_stall = write_stall
        self._may_reach = may_reach
        self.aborted = False
        #: Of the answer, from its first line on, whatever becomes of the rest.
        self.status: int | None = None
        #: Seconds that its connection had been kept unused; None: it was made for this request.
        self.idle: float | None = None
        self.keeping: Keeping | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def check_peer(self, sock: socket.socket) -> None:
        """Raise PeerRefusedError unless the request may go to the address at the other end."""
        if self._may_reach is not None and not self._may_reach(sock.getpeername()[0]):
            raise PeerRefusedError("The request may not go to this address.")

    def attach(self, sock: socket.socket | SSLTransport | None) -> None:
        """Make `sock` the one to shut; at once if the deadline has passed meanwhile."""
        with self._lock:
            # TLS to a proxy and TLS within it: only the socket under both can be shut.
            self._socket = sock.socket if isinstance(sock, SSLTransport) else sock
            if self.aborted:
                self._shut()

    def abort(self) -> None:
        """End whatever blocks on the socket, from another thread."""
        with self._lock:
            self.aborted = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already, which is what we want
                # Not SSLSocket.shutdown: that forgets the TLS state under the reading thread, which
                # would then take ciphertext for the reply.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Current(threading.local):
    round_trip: RoundTrip | None = None


#: urllib3 has no place to hand a connection something of the request; it does all in the caller's thread.
current = _Current()


def keepalive_options() -> list[tuple[int, int, int]]:
    """Socket options: no Nagle delay, and a vanished peer is noticed after a minute instead of hours."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # the latter on macOS
    for option, value in (
        (idle, 30),
        (getattr(socket, "TCP_KEEPINTVL", None), 10),
        (getattr(socket, "TCP_KEEPCNT", None), 3),
    ):
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


class _FinalResponse(http.client.HTTPResponse):
    """The answer itself: any number of interim ones (1xx, RFC 9110 section 15.2) may come before it.

    http.client passes over 100 alone, and takes a 103 (Early Hints, RFC 8297) for the answer.
    """

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        try:
            super().begin()
        finally:
            # What is cut off behind the first line is an error or a short head, by the version of Python.
            if current.round_trip is not None and isinstance(self.status, int):
                current.round_trip.status = self.status


class _Tracked(HTTPConnection):
    """What both kinds of connection add."""

    response_class = _FinalResponse
    idle_since: float = 0.0
    keeping: Keeping | None = None
    _used: bool = False
    _spare: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        self._used = False
        sock = super()._new_conn()
        if current.round_trip is not None:
            try:
                current.round_trip.check_peer(sock)
            except (PeerRefusedError, OSError):
                sock.close()
                raise
        # What follows (a proxy's answer, TLS) wraps the socket under objects that are out of reach until it
        # is over, so the deadline gets a second handle on it for that time.
        self._spare = sock.dup()
        if current.round_trip is not None:
            current.round_trip.attach(self._spare)
        return sock

    def connect(self) -> None:
        try:
            super().connect()
            if current.round_trip is not None:
                current.round_trip.attach(self.sock)
        finally:
            if self._spare is not None:
                self._spare.close()
                self._spare = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        round_trip = current.round_trip
        if self.sock is None:
            self.connect()
        if round_trip is not None:
            round_trip.attach(self.sock)
            round_trip.phase = Phase.WRITING
            round_trip.keeping, round_trip.idle = (
                self.keeping,
                time.monotonic() - self.idle_since if self._used else None,
            )
            self.timeout = round_trip.write_stall  # urllib3 would write under the connect timeout
        self._used = True
        if self.keeping is not None and not self.keeping.keeps:
            kwargs["headers"] = {**(kwargs.get("headers") or {}), "Connection": "close"}
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        if current.round_trip is not None:
            current.round_trip.phase = Phase.WAITING
        response = super().getresponse()
        if current.round_trip is not None:
            current.round_trip.phase = Phase.READING
        return response


class TrackedHTTPConnection(_Tracked):
    """Plain http: only managed identity endpoints on the host itself use it."""


class TrackedHTTPSConnection(_Tracked, HTTPSConnection):
    """https, verified."""


class _FreshOnly(HTTPConnectionPool):
    """A pool whose connections have not been idle for too long, are open, and have nothing unread."""

    keepings: ClassVar[Keepings] = Keepings(IDLE_LIMIT)

    @property
    def keeping(self) -> Keeping:
        """What is known of connections that are kept on this way."""
        return self.keepings.of(self.host, self.port, str(self.proxy or ""))

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn: Any = super()._get_conn(timeout)
        conn.keeping = self.keeping
        # Here and not later: a new connection through a proxy needs its tunnel before the request.
        if conn.sock is not None and (self._is_old(conn) or _has_something_to_read(conn.sock)):
            conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
            if not self.keeping.keeps:
                conn.close()
        super()._put_conn(conn)

    def _is_old(self, conn: Any) -> bool:
        return bool(time.monotonic() - conn.idle_since > self.keeping.limit)


def _has_something_to_read(sock: Any) -> bool:
    """Whether an unused connection has ended, or holds bytes that belong to no request."""
    return bool(isinstance(sock, ssl.SSLSocket) and sock.pending()) or wait_for_read(sock, timeout=0.0)


class FreshHTTPConnectionPool(_FreshOnly):
    """Connections to one plain http host."""

    ConnectionCls = TrackedHTTPConnection


class FreshHTTPSConnectionPool(_FreshOnly, HTTPSConnectionPool):
    """Connections to one https host."""

    ConnectionCls = TrackedHTTPSConnection


def pool_classes(idle_limit: float) -> dict[str, type[HTTPConnectionPool]]:
    """The pools by scheme, with an idle limit in seconds; it is shorter for hosts that do not keep it."""
    shared = {"keepings": Keepings(idle_limit)}
    return {
        "http": type("Pool", (FreshHTTPConnectionPool,), shared),
        "https": type("SecurePool", (FreshHTTPSConnectionPool,), shared),
    }


def pool_options() -> dict[str, Any]:
    """Keyword arguments for a urllib3 pool manager."""
    return {"socket_options": keepalive_options(), "blocksize": _CHUNK}


def process_id() -> int:
    """Whose connections these are: two processes must never write into one TLS stream."""
    return os.getpid()
