"""Shared state of all sessions of a listener process."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from uuid import UUID

from mailrelay.outbox.submission import Submission
from mailrelay.routing.table import RoutingTable
from mailrelay.smtp.budget import Budget
from mailrelay.smtp.client_log import ClientLog
from mailrelay.smtp.completions import Completions
from mailrelay.smtp.connections import Connections
from mailrelay.smtp.disk_space import Space
from mailrelay.smtp.logins import Logins
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.spool import spool_directory
from mailrelay.smtp.tls import Certificates
from mailrelay.token_buckets import TokenBuckets

#: Threads for spool files and for large headers: disk writes must not stop the event loop.
THREADS = 4


class Acceptor(Protocol):
    """The queue of record, as SMTP sessions see it."""

    @property
    def stalled(self) -> bool:
        """Whether nothing can be stored now, so that a mail need not be transferred to learn it."""

    def submit(self, submission: Submission) -> "Future[None]":
        """Store `submission`; the future ends when it is committed, or with what stopped it."""

    def disown(self, queue_id: UUID, outcome: "Future[None]") -> bool:
        """Give up a submission whose `outcome` is not known; False where it has come by now, and holds."""


@dataclass(slots=True)
class Context:
    options: SmtpOptions
    routing: Callable[[], RoutingTable]
    acceptor: Acceptor
    connections: Connections = field(init=False)
    completions: Completions = field(init=False, default_factory=Completions)
    space: Space = field(init=False)
    budget: Budget = field(init=False)
    #: Messages a minute of each SmtpClient, by its id.
    rates: TokenBuckets[int] = field(init=False, default_factory=TokenBuckets)
    logins: Logins = field(init=False, default_factory=Logins)
    client_log: ClientLog = field(init=False, default_factory=ClientLog)
    spool_directory: Path | None = field(init=False)
    executor: ThreadPoolExecutor = field(init=False)
    certificates: Certificates | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        options = self.options
        self.connections = Connections(
            options.max_connections, options.max_connections_per_client, self._connections_of
        )
        if options.tls_certificate is not None:
            self.certificates = Certificates(
                options.tls_certificate, options.tls_key or options.tls_certificate
            )
        self.spool_directory = spool_directory(options.data_dir)
        directories = tuple(path for path in (options.data_dir, self.spool_directory) if path)
        self.space = Space(directories, options.min_free_bytes)
        self.budget = Budget(options.max_bytes_in_transfer)
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="smtp-spool")
        # aiosmtpd logs every command at INFO and every line of a mail at DEBUG.
        logging.getLogger("mail.log").setLevel(logging.WARNING)

    def _connections_of(self, address: str) -> int | None:
        """How many connections the client at `address` may have, where its row says so."""
        try:
            client = self.routing().client_for(ip_address(address))
        except ValueError:  # a proxy did not name it
            return None
        return client.max_connections if client else None
