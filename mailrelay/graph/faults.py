"""Faults between here and Microsoft before there is an answer, told apart and put into words."""

import enum
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ProxyError, ReadTimeoutError

from mailrelay.graph.connections import PeerRefusedError, Phase


class Fault(enum.StrEnum):
    """The kinds of trouble on the way."""

    DNS = "dns"
    FORBIDDEN = "forbidden"  # what its name led to is no address that the request may go to
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    PROXY = "proxy"
    STALLED = "stalled"  # the peer took no more bytes
    CLOSED = "closed"  # reset, or closed in the middle
    KEPT_CLOSED = "kept_connection_closed"  # likewise, of a kept connection as it was used
    SILENT = "silent"  # nothing came within the time for an answer
    DEADLINE = "deadline"  # the total time was over
    GARBLED = "garbled"  # an answer that is not HTTP


@dataclass(frozen=True, slots=True)
class Failure:
    """One trouble and a clause that tells it, without the request's contents."""

    fault: Fault
    text: str

    @classmethod
    def deadline(cls, total: float) -> "Failure":
        """The whole request took longer than `total` seconds."""
        return cls(Fault.DEADLINE, f"the request was not finished within {total:g} s")


#: The other side closed a connection that it had let us keep.
KEPT_CLOSED = Failure(Fault.KEPT_CLOSED, "the connection, which had been kept, was closed as it was used")

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3}[\w .-]{0,60})")


def failure_of(error: BaseException, phase: Phase) -> Failure:
    """Classify what requests or urllib3 raised, by the root of it rather than by its wrapping."""
    roots = list(_roots(error))
    for root in roots:
        if isinstance(root, NameResolutionError | socket.gaierror):
            return Failure(Fault.DNS, "its name could not be resolved")
        if isinstance(root, PeerRefusedError):
            return Failure(Fault.FORBIDDEN, "its name led to an address that this request may not go to")
    for root in roots:
        if isinstance(root, ssl.SSLCertVerificationError):
            return Failure(Fault.TLS, f"its certificate is not trusted ({root.verify_message})")
    if phase is not Phase.CONNECT:  # urllib3 blames the proxy for whatever ends a connection through one
        return _later_failure(roots, phase)
    if any(isinstance(root, ProxyError) for root in roots):
        return _proxy_failure(roots)
    return _connect_failure(roots)


def _roots(error: BaseException) -> Iterator[BaseException]:
    """Give every exception inside `error`: urllib3 and requests nest them in three different ways."""
    queue: list[object] = [error]
    seen: set[int] = set()
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        queue += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]


def _proxy_failure(roots: list[BaseException]) -> Failure:
    for root in roots:
        found = _TUNNEL.search(str(root))
        if found:
            return Failure(Fault.PROXY, f"the proxy refused the connection ({found[1].strip()})")
    return Failure(Fault.PROXY, "the proxy could not be reached")


def _connect_failure(roots: list[BaseException]) -> Failure:
    for root in roots:
        if isinstance(root, ConnectionRefusedError):
            return Failure(Fault.REFUSED, "it refused the connection")
        if isinstance(root, ConnectTimeoutError | TimeoutError | ReadTimeoutError):
            # NewConnectionError is a ConnectTimeoutError for urllib3; the refusal inside comes later.
            if any(isinstance(other, ConnectionRefusedError) for other in roots):
                return Failure(Fault.REFUSED, "it refused the connection")
            if not any(_is_unreachable(other) for other in roots):
                return Failure(Fault.CONNECT_TIMEOUT, "connecting took too long")
        if isinstance(root, ssl.SSLError):
            return Failure(Fault.TLS, f"TLS could not be agreed ({root.reason or 'no reason given'})")
    for root in roots:
        if isinstance(root, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError):
            return Failure(Fault.TLS, "it closed the connection before TLS was agreed")
    return Failure(Fault.UNREACHABLE, f"it could not be reached{_errno(roots)}")


def _later_failure(roots: list[BaseException], phase: Phase) -> Failure:
    for root in roots:
        if isinstance(root, ReadTimeoutError | TimeoutError):
            if phase is Phase.WRITING:
                return Failure(Fault.STALLED, "it stopped taking the message")
            return Failure(Fault.SILENT, "it did not answer in time")
    for root in roots:
        if isinstance(root, http.client.RemoteDisconnected | http.client.IncompleteRead | ConnectionError):
            return Failure(Fault.CLOSED, "the connection was closed before the answer was complete")
    for root in roots:
        if isinstance(root, http.client.HTTPException):
            return Failure(Fault.GARBLED, "what it answered is not HTTP")
    return Failure(Fault.CLOSED, f"the connection broke{_errno(roots)}")


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno is not None and not isinstance(error, TimeoutError)


def _errno(roots: list[BaseException]) -> str:
    for root in roots:
        if isinstance(root, OSError) and root.strerror:
            return f" ({root.strerror})"
    return ""
