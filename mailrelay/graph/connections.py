"""Connections that say how far a request came, can be shut from outside, and are not reused when old."""

import contextlib
import enum
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

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


class Trip:
    """One request on its way: its phase, where it may go, and the socket to shut when its deadline comes."""

    def __init__(self, write_stall: float, may_reach: Callable[[str], bool] | None = None) -> None:
        self.phase = Phase.CONNECT
        self.write_stall = write_stall
        self._may_reach = may_reach
        self.aborted = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def check_peer(self, sock: socket.socket) -> None:
        """Raise PeerRefusedError unless the request may go to the address at the other end."""
        if self._may_reach is not None and not self._may_reach(sock.getpeername()[0]):
            raise PeerRefusedError("The request may not go to this address.")

    def attach(self, sock: socket.socket | None) -> None:
        """Make `sock` the one to shut; at once if the deadline has passed meanwhile."""
        with self._lock:
            self._socket = sock
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
    trip: Trip | None = None


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


class _Tracked(HTTPConnection):
    """What both kinds of connection add."""

    idle_since: float = 0.0
    _spare: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if current.trip is not None:
            try:
                current.trip.check_peer(sock)
            except (PeerRefusedError, OSError):
                sock.close()
                raise
        # What follows (a proxy's answer, TLS) wraps the socket under objects that are out of reach until it
        # is over, so the deadline gets a second handle on it for that time.
        self._spare = sock.dup()
        if current.trip is not None:
            current.trip.attach(self._spare)
        return sock

    def connect(self) -> None:
        try:
            super().connect()
            if current.trip is not None:
                current.trip.attach(self.sock)
        finally:
            if self._spare is not None:
                self._spare.close()
                self._spare = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        trip = current.trip
        if self.sock is None:
            self.connect()
        if trip is not None:
            trip.attach(self.sock)
            trip.phase = Phase.WRITING
            self.timeout = trip.write_stall  # urllib3 would write under the connect timeout
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        if current.trip is not None:
            current.trip.phase = Phase.WAITING
        response = super().getresponse()
        if current.trip is not None:
            current.trip.phase = Phase.READING
        return response


class TrackedHTTPConnection(_Tracked):
    """Plain http: only managed identity endpoints on the host itself use it."""


class TrackedHTTPSConnection(_Tracked, HTTPSConnection):
    """https, verified."""


class _FreshOnly(HTTPConnectionPool):
    """A pool that never hands out a connection that has been idle for too long."""

    idle_limit: ClassVar[float] = IDLE_LIMIT

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn: Any = super()._get_conn(timeout)
        if conn.sock is not None and time.monotonic() - conn.idle_since > self.idle_limit:
            conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)


class FreshHTTPConnectionPool(_FreshOnly):
    """Connections to one plain http host."""

    ConnectionCls = TrackedHTTPConnection


class FreshHTTPSConnectionPool(_FreshOnly, HTTPSConnectionPool):
    """Connections to one https host."""

    ConnectionCls = TrackedHTTPSConnection


def pool_classes(idle_limit: float) -> dict[str, type[HTTPConnectionPool]]:
    """The pools by scheme, with an idle limit in seconds."""
    return {
        "http": type("Pool", (FreshHTTPConnectionPool,), {"idle_limit": idle_limit}),
        "https": type("SecurePool", (FreshHTTPSConnectionPool,), {"idle_limit": idle_limit}),
    }


def pool_options() -> dict[str, Any]:
    """Keyword arguments for a urllib3 pool manager."""
    return {"socket_options": keepalive_options(), "blocksize": _CHUNK}


def process_id() -> int:
    """Whose connections these are: two processes must never write into one TLS stream."""
    return os.getpid()
