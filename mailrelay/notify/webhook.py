"""Posting to a webhook: where to, and where never to.

A person who enters a URL could have this host ask its neighbours. So only https to public addresses, but
for the networks that ALERT_WEBHOOK_NETWORKS lists, where http goes as well; no redirect is followed, and of
the answer nothing but its status is ever shown. The URL is a secret and stands in no text.
"""

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from django.conf import settings

from mailrelay.delivery.tokens import graph_clients
from mailrelay.graph.http import Timeouts

#: What a gateway translates to the IPv4 address in the last 32 bits (RFC 6052 section 2.1).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TIMEOUTS = Timeouts(connect=10.0, stall=10.0, total=20.0)


def fault(url: str) -> str:
    """Return the sentence that says what is wrong with `url`, as far as its text tells; empty if nothing."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "This is not a URL."
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "A webhook is a URL that begins with https://."
    if parts.username or parts.password:
        return "A URL with a name or a password in it is not taken."
    if not url.isascii() or not url.isprintable() or " " in url:
        return "The URL has characters in it that none may have."
    if parts.scheme == "http" and not settings.ALERT_WEBHOOK_NETWORKS:
        return "The URL has to begin with https://; http goes to ALERT_WEBHOOK_NETWORKS alone."
    return ""


def post(url: str, document: dict[str, Any], key: str) -> str:
    """Post `document`; return why it was not taken, empty if it was. `key` tells a repetition."""
    if reason := fault(url):
        return reason
    parts = urlsplit(url)
    # A proxy looks the name up itself, and decides where it may go.
    may_reach = None if _by_proxy(parts) else partial(_allowed, scheme=parts.scheme)
    if may_reach and (reason := _forbidden(parts)):
        return reason
    return send(url, document, key, may_reach)


def send(
    url: str,
    document: dict[str, Any],
    key: str,
    may_reach: Callable[[str], bool] | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> str:
    """Post `document` wherever `url` leads that `may_reach` lets be; return why it was not taken.

    The reason does not quote the URL, which may hold a secret.
    """
    session, _ = graph_clients()
    try:
        reply = session.request(
            "POST",
            url,
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
            body=json.dumps(document).encode(),
            timeouts=timeouts,
            may_reach=may_reach,
        )
    except ValueError as error:  # requests' own for a URL that is none; its text quotes the URL
        return f"the URL cannot be used ({type(error).__name__})"
    if reply.status is None:
        return reply.failure.text if reply.failure else "no answer"
    return "" if 200 <= reply.status < 300 else f"HTTP {reply.status}"


def _by_proxy(parts: SplitResult) -> bool:
    return parts.scheme == "https" and parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def _forbidden(parts: SplitResult) -> str:
    """Say why the addresses behind the name must not be asked: all of them, before one is connected to.

    The owner of the name's DNS may answer otherwise a moment later: what is reached is looked at again.
    """
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "its host name is not known"
    if not all(_allowed(str(entry[4][0]), parts.scheme) for entry in found):
        return "it leads to an address that ALERT_WEBHOOK_NETWORKS does not list"
    return ""


def _allowed(text: str, scheme: str) -> bool:
    """Whether a document may go to an IP address by `scheme`."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if any(
        address.version == network.version and address in network
        for network in settings.ALERT_WEBHOOK_NETWORKS
    ):
        return True
    within = (address, *_within(address))
    return scheme == "https" and all(each.is_global and not each.is_multicast for each in within)


def _within(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that a router or this host may make of an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
    if address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
