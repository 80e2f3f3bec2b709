"""One HTTP request at a time to Microsoft: never retried, never redirected, bounded in time and memory."""

import io
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import certifi
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from mailrelay import tracing
from mailrelay.graph.connections import (
    IDLE_LIMIT,
    Phase,
    RoundTrip,
    current,
    pool_classes,
    pool_options,
    process_id,
)
from mailrelay.graph.faults import KEPT_CLOSED, Failure, Fault, failure_of
from mailrelay.graph.watchdog import Watchdog

#: Bytes of a reply that are read; Graph's errors are under 2 KiB, a proxy's page may be anything.
REPLY_LIMIT: Final = 65_536

#: Managed identity endpoints are on this host or its own link, where no proxy can reach them.
_IDENTITY_HOSTS = ("169.254.169.254", "127.0.0.1", "localhost")


class Body(Protocol):
    """Bytes to send: `len()` is their exact number, `read(n)` hands them out and then gives b""."""

    def __len__(self) -> int: ...

    def read(self, n: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect (per address, TLS included), without progress while writing, and for everything.

    Resolving a name is the system's affair and outside of these (usually 5 to 20 s when it fails).
    The total is long since Graph may work for minutes on one mail, and giving up after the last byte
    leaves an unknown outcome.
    """

    connect: float = 10.0
    stall: float = 30.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: a status with headers and body, or a failure. Nothing of the request."""

    status: int | None
    phase: Phase
    body_sent: bool  # every byte of the request body was handed to the connection
    duration: float  # seconds
    headers: Mapping[str, str] = field(default_factory=CaseInsensitiveDict)
    body: bytes = b""
    complete: bool = True  # the body above is all of it
    failure: Failure | None = None


class BodyLengthError(Exception):
    """A request body gave fewer or more bytes than its length promised: a fault of ours, nothing was sent."""


class _Handed:
    """Counts what of a body has been handed out, and keeps a reader's own error apart from the network's."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._total = len(body)
        self._given = 0
        self.error: Exception | None = None

    def __len__(self) -> int:
        return self._total

    def read(self, n: int = -1) -> bytes:
        try:
            chunk = self._body.read(n)
            self._given += len(chunk)
            self._check(ended=not chunk)
        except Exception as error:
            self.error = error
            raise
        return chunk

    def _check(self, *, ended: bool) -> None:
        if self._given > self._total or (ended and not self.exhausted):
            raise BodyLengthError(f"The body gave {self._given} bytes, its length said {self._total}.")

    @property
    def exhausted(self) -> bool:
        return self._given >= self._total


class _Bytes(io.BytesIO):
    """Bytes with a length."""

    def __len__(self) -> int:
        return len(self.getbuffer())


class _Got:
    """What has come of a reply so far, of which `limit` bytes are read."""

    def __init__(self, begun: float, limit: int) -> None:
        self.begun = begun
        self.limit = limit
        self.raw: Any = None
        self.status: int | None = None
        self.headers: Mapping[str, str] = CaseInsensitiveDict()
        self.body = b""
        self.whole = False
        self.failure: Failure | None = None

    def put_away(self, *, reusable: bool) -> None:
        """Give the connection back, or close it if unread bytes or an unfinished request are on it."""
        if self.raw is not None:
            if not (reusable and self.whole):
                self.raw.close()
            self.raw.release_conn()


class _Adapter(HTTPAdapter):
    """requests' adapter with our pools and one TLS context for all connections.

    Used without a session, since sessions follow redirects, keep cookies and read `.netrc`.
    """

    def __init__(self, context: ssl.SSLContext, idle_limit: float) -> None:
        self._context = context
        self._pool_classes = pool_classes(idle_limit)
        super().__init__(pool_connections=16, pool_maxsize=64, max_retries=0)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs, **pool_options())
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(
            proxy, **kwargs, **({} if known else {"proxy_ssl_context": self._context, **pool_options()})
        )
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        del verify, cert
        url = urlsplit(request.url or "")
        host = {"scheme": url.scheme, "host": url.hostname, "port": url.port}
        return host, ({"ssl_context": self._context} if url.scheme == "https" else {})

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        del url, verify, cert
        conn.cert_reqs = "CERT_REQUIRED"  # the authorities are in the context, loaded once


def trusted_context() -> ssl.SSLContext:
    """Give the TLS context for Microsoft: REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, else certifi's authorities.

    Raises OSError naming the variable if it names nothing readable.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bundle = os.environ.get(variable)
        if bundle:
            try:
                return _context(bundle)
            except OSError as error:  # ssl.SSLError is one too
                raise OSError(
                    f"{variable} names {bundle}, which holds no certificates ({error.strerror or error}). "
                    "Point it to a PEM file of certificate authorities or unset it."
                ) from None
    return _context(certifi.where())


def _context(bundle: str) -> ssl.SSLContext:
    is_directory = os.path.isdir(bundle)  # noqa: PTH112 - the variable is a plain string
    context = ssl.create_default_context(
        cafile=None if is_directory else bundle, capath=bundle if is_directory else None
    )
    context.set_alpn_protocols(["http/1.1"])
    return context


class GraphSession:
    """Pooled connections to Microsoft, for any number of threads.

    Proxies (HTTPS_PROXY, NO_PROXY) and authorities (REQUESTS_CA_BUNDLE) are read from the environment once.
    """

    def __init__(self, *, idle_limit: float = IDLE_LIMIT, reply_limit: int = REPLY_LIMIT) -> None:
        self._idle_limit = idle_limit
        self._reply_limit = reply_limit
        self._watchdog = Watchdog()
        self._lock = threading.Lock()
        self._context = trusted_context()
        self._open()

    def _open(self) -> None:
        self._adapter = _Adapter(self._context, self._idle_limit)
        self._proxies: dict[tuple[str, str], dict[str, str]] = {}
        self._owner = process_id()

    def close(self) -> None:
        """Close idle connections; the session remains usable."""
        self._adapter.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | bytes = b"",
        timeouts: Timeouts,
        may_reach: Callable[[str], bool] | None = None,
        reply_limit: int | None = None,
    ) -> Reply:
        """Send one request once and give what came of it; the network's faults are values, not exceptions.

        `reply_limit` is how many bytes of the reply are read, where that is not as for all requests.
        `may_reach` is asked with the IP address that a new connection has at its other end, a proxy's where
        there is one; a request that it refuses is not written. Such requests have their hosts to themselves:
        a connection that another request made is not asked about again.

        Raises what `body.read` raises, after closing the connection: then the request was cut short and
        the server cannot have acted on it. Raises ValueError for a malformed URL or header.
        """
        handed = _Handed(_Bytes(body) if isinstance(body, bytes) else body)
        round_trip = RoundTrip(timeouts.stall, may_reach)
        begun = time.monotonic()
        request = _prepared(method, url, {**headers, **tracing.headers()}, handed)
        watch = self._watchdog.watch(begun + timeouts.total, round_trip.abort)
        current.round_trip = round_trip
        got = _Got(begun, reply_limit or self._reply_limit)
        try:
            return self._exchange(request, handed, round_trip, timeouts, got)
        finally:
            current.round_trip = None
            self._watchdog.release(watch)

    def _exchange(
        self, request: PreparedRequest, handed: _Handed, round_trip: RoundTrip, timeouts: Timeouts, got: _Got
    ) -> Reply:
        try:
            self._converse(request, timeouts, got)
        except (RequestException, HTTPError, OSError) as error:
            if handed.error is not None:
                raise handed.error from None
            # Not chained anywhere: requests' exceptions carry the prepared request, token included.
            got.failure = failure_of(error, round_trip.phase)
        finally:
            got.status = round_trip.status if got.status is None else got.status
            if (
                round_trip.aborted
            ):  # http.client takes a head that is cut off for a short one, without an error
                got.whole, got.failure = False, Failure.deadline(timeouts.total)
            _note_what_broke(round_trip, got)
            got.put_away(reusable=handed.exhausted)
        return Reply(
            status=got.status,
            phase=round_trip.phase,
            body_sent=handed.exhausted,
            duration=time.monotonic() - got.begun,
            headers=got.headers,
            body=got.body,
            complete=got.whole,
            failure=got.failure,
        )

    def _converse(self, request: PreparedRequest, timeouts: Timeouts, got: _Got) -> None:
        response = self._usable_adapter().send(
            request,
            stream=True,
            timeout=(min(timeouts.connect, timeouts.total), timeouts.total),
            proxies=self._proxies_for(request.url or ""),
        )
        got.raw, got.status, got.headers = response.raw, response.status_code, response.headers
        body: bytes = response.raw.read(got.limit + 1, decode_content=False)
        got.body, got.whole = body[: got.limit], len(body) <= got.limit

    def _usable_adapter(self) -> _Adapter:
        if self._owner != process_id():
            with self._lock:
                if self._owner != process_id():
                    self._open()
        return self._adapter

    def _proxies_for(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname in _IDENTITY_HOSTS:
            return {}
        origin = (parts.scheme, parts.netloc)
        if origin not in self._proxies:
            self._proxies[origin] = get_environ_proxies(url, no_proxy=None)
        return self._proxies[origin]


def _note_what_broke(round_trip: RoundTrip, got: _Got) -> None:
    """Remember a host that closes kept connections as they are used, and give that as the fault.

    Some say 408 before they close; an answer of Graph has a request-id.
    """
    closed = got.status is None and got.failure is not None and got.failure.fault is Fault.CLOSED
    timed_out = got.status == 408 and "request-id" not in got.headers
    if round_trip.idle is None or round_trip.keeping is None or not (closed or timed_out):
        return
    round_trip.keeping.broke(round_trip.idle)
    if closed:
        got.failure = KEPT_CLOSED


def _prepared(method: str, url: str, headers: Mapping[str, str], body: _Handed) -> PreparedRequest:
    """Build the request; its length comes from the body, since a chunked one is refused by Exchange."""
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            # Checked here because the libraries' own complaint quotes the value, which may be a token.
            raise ValueError(f"The value of the header {name} has characters that a header cannot carry.")
    request = PreparedRequest()
    request.prepare(
        method=method,
        url=url,
        # Replies are small, and inflating compressed ones within bounds is not worth it.
        headers={"Accept-Encoding": "identity", "User-Agent": "graph-mail-gateway", **headers},
        data=body if len(body) else None,
    )
    return request


__all__ = [
    "REPLY_LIMIT",
    "Body",
    "BodyLengthError",
    "Failure",
    "Fault",
    "GraphSession",
    "Phase",
    "Reply",
    "Timeouts",
    "trusted_context",
]
