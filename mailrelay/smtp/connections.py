"""Which connections are open, and how many one client and the process may have."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from mailrelay import metrics
from mailrelay.smtp.replies import Reply

if TYPE_CHECKING:
    from mailrelay.smtp.connection import Connection


class Connections:
    """The open connections of a listener process. Used in its event loop only."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._of_client: Counter[str] = Counter()
        self.open: set[Connection] = set()
        self.none_open = asyncio.Event()
        self.none_open.set()
        self.draining = False
        #: Since the start: connections taken, and turned away at a cap.
        self.accepted = 0
        self.denied = 0

    def admit(self, connection: "Connection", client: str) -> Reply | None:
        """Count a connection in, or say why it is turned away; either way it must be released."""
        self.open.add(connection)
        self.none_open.clear()
        self._of_client[client] += 1
        metrics.SMTP_CONNECTIONS.set(len(self.open))
        refused = self._refusal(client)
        self.accepted += refused is None
        self.denied += refused is not None
        return refused

    def release(self, connection: "Connection", client: str) -> None:
        self.open.discard(connection)
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
        if not self.open:
            self.none_open.set()
        metrics.SMTP_CONNECTIONS.set(len(self.open))

    def _refusal(self, client: str) -> Reply | None:
        if self.draining:
            return Reply("421 4.3.2 The server is shutting down, try again later", "drain")
        if len(self.open) > self._limit:
            return Reply("421 4.7.0 Too many connections, try again later", "connections")
        if self._of_client[client] > self._limit_per_client:
            return Reply(f"421 4.7.0 Too many connections from {client}, try again later", "connections")
        return None
