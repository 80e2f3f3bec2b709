"""The way to Microsoft: names, proxy, TLS and clock, for each host that tokens and mail go to."""

import socket
import time
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from mailrelay.diagnosis.findings import Check, Finding, within
from mailrelay.graph.credentials import Credential
from mailrelay.graph.faults import Failure, Fault
from mailrelay.graph.http import GraphSession, Reply, Timeouts
from mailrelay.vocabulary import CredentialKind

CHECK = Check("network")
CLOCK = Check("clock")
#: Seconds for the system to resolve a name.
RESOLVING = 5.0
TIMEOUTS = Timeouts(connect=5.0, stall=5.0, total=10.0)
#: Seconds by which clocks may differ: Entra ID takes assertions five minutes off, and logs should agree.
MUCH, TOO_MUCH = 30.0, 300.0

PORT_OPEN = "Let this host reach it on that port; where only a proxy may, set HTTPS_PROXY=http://proxy:port."
FIXES = {
    Fault.DNS: "Fix the resolver (/etc/resolv.conf; in Kubernetes the egress to DNS in the NetworkPolicy).",
    Fault.TLS: "If a proxy opens TLS on the way, set REQUESTS_CA_BUNDLE to a PEM file with its authority.",
    Fault.PROXY: "Check HTTPS_PROXY, and that the proxy may connect to this host, or name it in NO_PROXY.",
}


def hosts(credentials: Iterable[Credential]) -> list[str]:
    """List the origins that `credentials` need, each once, tokens first."""
    asked: dict[str, None] = {}
    for credential in credentials:
        if credential.kind != CredentialKind.MANAGED_IDENTITY:
            asked[credential.authority_host.rstrip("/")] = None
        asked[credential.resource] = None
    return list(asked)


def way_to(origin: str, session: GraphSession) -> Iterator[Finding]:
    """Go to `origin` as tokens and mail do, and compare the clocks."""
    proxy = _proxy(origin)
    via = f" through the proxy {proxy}" if proxy else ""
    if not proxy and (trouble := _unresolved(origin)):
        yield trouble
        return
    reply = session.request("GET", f"{origin}/", headers={}, timeouts=TIMEOUTS)
    if reply.failure is not None and reply.status is None:
        yield _unreachable(origin, via, reply.failure)
        return
    yield CHECK.ok(f"{origin} answers over verified TLS{via} ({reply.duration * 1000:.0f} ms).")
    yield from _clock(origin, reply)


def _proxy(origin: str) -> str:
    """Name the proxy for `origin` without user and password; empty where there is none."""
    proxy = get_environ_proxies(f"{origin}/", no_proxy=None).get("https", "")
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return f"{parts.hostname}:{parts.port or 80}" if parts.hostname else ""


def _unresolved(origin: str) -> Finding | None:
    host = urlsplit(origin).hostname or ""
    try:
        within(RESOLVING, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError too
        reason = getattr(error, "strerror", None) or str(error)
        return CHECK.problem(f"The name {host} cannot be resolved: {reason}.", FIXES[Fault.DNS])
    return None


def _unreachable(origin: str, via: str, failure: Failure) -> Finding:
    fix = FIXES.get(failure.fault, PORT_OPEN)
    return CHECK.problem(f"{origin} cannot be used{via}: {failure.text}.", fix)


def _clock(origin: str, reply: Reply) -> Iterator[Finding]:
    """Compare our clock with the Date header, which has whole seconds."""
    try:
        theirs = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    ahead = time.time() - theirs
    sentence = (
        f"This host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {origin}"
    )
    fix = "Synchronise it: timedatectl set-ntp true, or fix chrony; in a container, on its host."
    if abs(ahead) > TOO_MUCH:
        yield CLOCK.problem(f"{sentence}: certificates and tokens are refused.", fix)
    elif abs(ahead) > MUCH:
        yield CLOCK.warning(f"{sentence}: logs and tokens are off by that.", fix)
    else:
        yield CLOCK.ok(f"This host's clock agrees with that of {origin}.")
