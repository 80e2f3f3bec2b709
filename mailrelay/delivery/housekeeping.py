"""The thread that looks after permissions, fallback senders, learned limits, copies and drafts."""

import time

from mailrelay.delivery import access, fallback, inbox_watch, orphans, sent_items
from mailrelay.outbox.settling import request_size
from mailrelay.periodic import PeriodicThread

#: Seconds between two looks at drafts and learned limits.
DRAFTS_INTERVAL = 60.0


class Housekeeper(PeriodicThread):
    """One a process that delivers."""

    name = "housekeeping"
    interval = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._swept = time.monotonic() - DRAFTS_INTERVAL + 5.0

    def run_once(self) -> None:
        access.look()
        fallback.look()
        sent_items.look()
        inbox_watch.look()
        if time.monotonic() - self._swept >= DRAFTS_INTERVAL:
            self._swept = time.monotonic()
            orphans.sweep()
            request_size.forget_old()
