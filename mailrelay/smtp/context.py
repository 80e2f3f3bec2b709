"""What all sessions of a listener process share."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

from mailrelay.outbox.submission import Submission
from mailrelay.routing.directory import Directory
from mailrelay.smtp.completions import Completions
from mailrelay.smtp.connections import Connections
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.space import Space
from mailrelay.smtp.spool import spool_directory

#: Threads for spool files and for large headers: disk writes must not stop the event loop.
THREADS = 4


class Acceptor(Protocol):
    """The queue of record, as the door sees it."""

    @property
    def stalled(self) -> bool:
        """Whether nothing can be stored now, so that a mail need not be transferred to learn it."""

    def submit(self, submission: Submission) -> "Future[None]":
        """Store `submission`; the future ends when it is committed, or with what stopped it."""

    def disown(self, queue_id: UUID) -> None:
        """Give up a submission whose outcome is not known: the client was told to try again."""


@dataclass(slots=True)
class Context:
    options: SmtpOptions
    directory: Callable[[], Directory]
    acceptor: Acceptor
    connections: Connections = field(init=False)
    completions: Completions = field(init=False, default_factory=Completions)
    space: Space = field(init=False)
    spool_directory: Path | None = field(init=False)
    executor: ThreadPoolExecutor = field(init=False)
    ehlo: bytes = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        self.connections = Connections(options.max_connections, options.max_connections_per_client)
        self.spool_directory = spool_directory(options.data_dir)
        directories = tuple(path for path in (options.data_dir, self.spool_directory) if path)
        self.space = Space(directories, options.min_free_bytes)
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="smtp-spool")
        self.ehlo = (
            f"250-{options.hostname}\r\n250-PIPELINING\r\n250-SIZE {options.max_message_size}\r\n"
            "250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
        ).encode()
        # aiosmtpd logs every command at INFO and every line of a mail at DEBUG.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
