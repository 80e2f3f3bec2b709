"""Counts open connections, of each client and of the process."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from mailrelay import metrics
from mailrelay.smtp.hosts import host_of
from mailrelay.smtp.replies import Reply

if TYPE_CHECKING:
    from mailrelay.smtp.connection import Connection

#: Share of the connections from which on the process is under stress (Postfix's STRESS_README).
STRESS_SHARE = 0.8
#: At the limit, connections that were of no use for this long make room, a twentieth of all at a time.
IDLE_SECONDS = 1.0
MAKE_ROOM = 20

SHUTTING_DOWN = Reply("421 4.3.2 The server is shutting down, try again later", "drain")
TOO_MANY = Reply(
    "421 4.7.0 Too many connections, try again later: the limit is SMTP_MAX_CONNECTIONS", "connections"
)


class Connections:
    """The open connections of a listener process. Used in its event loop only.

    `limit_of` tells a client's own limit of connections, by its address; None is the limit of an address that
    nobody listed.
    """

    def __init__(self, limit: int, limit_per_client: int, limit_of: Callable[[str], int | None]) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._limit_of = limit_of
        self._of_client: Counter[str] = Counter()
        self._of_login: Counter[int] = Counter()
        self.open: set[Connection] = set()
        self.none_open = asyncio.Event()
        self.none_open.set()
        self.draining = False
        #: Since the start: connections taken, and turned away at a cap.
        self.accepted = 0
        self.denied = 0

    @property
    def stressed(self) -> bool:
        """Whether patience with idle connections has to be short."""
        return len(self.open) > self._limit * STRESS_SHARE

    def admit(self, connection: "Connection") -> Reply | None:
        """Count a connection in, or say why it is turned away; either way it must be released."""
        self.open.add(connection)
        self.none_open.clear()
        self._show()
        if self.draining:
            return SHUTTING_DOWN
        if len(self.open) > self._limit and not self._make_room():
            return self._denied(TOO_MANY, "all")
        self.accepted += 1
        return None

    def name(self, connection: "Connection", address: str) -> Reply | None:
        """Count `connection` for `address`, or say why that has too many.

        Of IPv6 it is counted for the network, since one host has all of it; but those whom somebody listed
        may be neighbours there.
        """
        client = host_of(address)
        if client != address and self._limit_of(address) is not None:
            client = address
        connection.counted_for = client
        self._of_client[client] += 1
        count = self._of_client[client]
        if count <= self._limit_per_client or not self._limit_per_client:
            return None
        if count <= (self._limit_of(address) or 0):
            return None
        return self._denied(
            Reply(
                f"421 4.7.0 Too many connections from {client}, try again later: the limit is "
                "SMTP_MAX_CONNECTIONS_PER_CLIENT",
                "connections",
            ),
            "client",
        )

    def known(self, connection: "Connection", client: int, limit: int) -> bool:
        """Count `connection` for the SmtpClient `client`; whether that stays within its `limit`, if not 0."""
        if connection.counted_as != client:
            self._forget(connection)
            connection.counted_as = client
            self._of_login[client] += 1
        return not limit or self._of_login[client] <= limit

    def release(self, connection: "Connection") -> None:
        """Count a connection out; nothing happens the second time."""
        if connection not in self.open:
            return
        self.open.discard(connection)
        self._forget(connection)
        if connection.counted_for:
            _less(self._of_client, connection.counted_for)
        if not self.open:
            self.none_open.set()
        self._show()

    def _forget(self, connection: "Connection") -> None:
        if connection.counted_as is not None:
            _less(self._of_login, connection.counted_as)

    def _make_room(self) -> bool:
        """End the connections that were of no use for the longest; whether there was one."""
        idle = sorted((seconds, id(one), one) for one in self.open if (seconds := one.idle()) > IDLE_SECONDS)
        for _, _, one in idle[-max(1, self._limit // MAKE_ROOM) :]:
            self._denied(TOO_MANY, "idle")
            one.dismiss(TOO_MANY)
        return bool(idle)

    def _denied(self, reply: Reply, cap: str) -> Reply:
        self.denied += 1
        metrics.SMTP_CONNECTIONS_DENIED.labels(cap=cap).inc()
        return reply

    def _show(self) -> None:
        metrics.SMTP_CONNECTIONS.set(len(self.open))
        metrics.SMTP_STRESSED.set(self.stressed)


def _less(counts: "Counter[int] | Counter[str]", key: int | str) -> None:
    counts[key] -= 1  # type: ignore[index]
    if not counts[key]:  # type: ignore[index]
        del counts[key]
