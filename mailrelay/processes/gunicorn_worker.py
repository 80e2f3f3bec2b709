"""gunicorn's worker with the HTTP front of the other processes: slow clients of the pages delay no probe."""

import os
import select
import socket
import sys

from gunicorn.workers.base import Worker

from mailrelay.health.front import Front

#: The exit code that makes gunicorn give up, where any other makes it try for ever.
BOOT_ERROR = 3
#: Seconds between two signs of life to gunicorn's first process.
INTERVAL = 1.0


class FrontWorker(Worker):  # type: ignore[misc]
    """Serves the probes and `gateway.wsgi` at gunicorn's sockets until gunicorn ends it."""

    def run(self) -> None:
        # Both need the settings, which the application has loaded by now.
        from mailrelay.health.serving import PROBES, HealthServer

        self._refuse_what_the_front_cannot_do()
        front = Front([each.sock for each in self.sockets], PROBES)
        server = HealthServer(front, self.wsgi)
        while self.alive and os.getppid() == self.ppid:
            self.notify()
            self._rest()
        server.stop()

    def _rest(self) -> None:
        """Wait until the next sign of life is due; a signal ends the wait (`set_wakeup_fd`)."""
        readable, _, _ = select.select([self.PIPE[0]], [], [], INTERVAL)
        if readable:
            os.read(self.PIPE[0], 4096)

    def _refuse_what_the_front_cannot_do(self) -> None:
        if self.cfg.is_ssl or any(each.sock.family == socket.AF_UNIX for each in self.sockets):
            sys.stderr.write(
                "CommandError: this gunicorn worker serves plain HTTP at host:port. For TLS or a Unix "
                "socket put a proxy in front, or choose --worker-class gthread.\n"
            )
            sys.exit(BOOT_ERROR)
