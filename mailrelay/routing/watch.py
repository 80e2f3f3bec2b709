"""Keeping the configuration in memory fresh: changes in the admin count within seconds."""

import logging
import time
from dataclasses import replace

from mailrelay.periodic import PeriodicThread
from mailrelay.routing import backlog
from mailrelay.routing.loading import load
from mailrelay.routing.table import RoutingTable

log = logging.getLogger(__name__)

#: Seconds between two looks at the configuration.
INTERVAL = 2.0
#: Seconds between two counts of what waits.
BACKLOG_INTERVAL = 10.0

_of_process: "ConfigurationWatch | None" = None


class ConfigurationWatch(PeriodicThread):
    """Keeps the newest snapshot in memory, read by a thread of its own. Call it for the snapshot."""

    name = "configuration"
    interval = delay = patience = INTERVAL

    def __init__(self) -> None:
        """Read it once, and go on. Raises django.db.DatabaseError."""
        global _of_process  # noqa: PLW0603 - probes and metrics of this process ask for it
        super().__init__()
        self._unreadable: tuple[str, ...] = ()
        self._counted = -BACKLOG_INTERVAL
        self.run_once()
        self.start()
        _of_process = self

    def stop(self) -> None:
        """Read no more; probes of this process no longer ask for its age."""
        global _of_process  # noqa: PLW0603 - as above
        if _of_process is self:
            _of_process = None
        super().stop()

    def __call__(self) -> RoutingTable:
        return self._directory

    @property
    def age(self) -> float:
        """Seconds since the snapshot was read."""
        return time.monotonic() - self._read_at

    def run_once(self) -> None:
        if time.monotonic() - self._counted >= BACKLOG_INTERVAL:
            self._backlog = backlog.measure()
            self._counted = time.monotonic()
        self._directory = replace(load(), backlog=self._backlog)
        self._read_at = time.monotonic()
        self._log_unreadable(self._directory.unreadable)

    def _log_unreadable(self, found: tuple[str, ...]) -> None:
        for row in found:
            if row not in self._unreadable:
                log.error("%s Finish the update of all processes, or save it again in the admin.", row)
        for row in set(self._unreadable) - set(found):
            log.warning("This is over: %s", row)
        self._unreadable = found


def of_process() -> ConfigurationWatch | None:
    """Return the watch of this process; None where it takes no mail."""
    return _of_process
