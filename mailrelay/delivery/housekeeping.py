"""What is looked after beside the mail: permissions, fallback senders, learned limits, copies and drafts."""

import logging
import threading
import time

from django.db import DatabaseError, connection

from mailrelay.delivery import access, fallback, inboxes, orphans, sent_items
from mailrelay.outbox import overflow
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.writer import recycle

log = logging.getLogger(__name__)

#: Seconds between two looks at most of it, and between two at drafts and learned limits.
INTERVAL = 1.0
DRAFTS_INTERVAL = 60.0


class Housekeeper:
    """A thread of a process that delivers."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        swept = time.monotonic() - DRAFTS_INTERVAL + 5.0
        while True:
            try:
                access.look()
                fallback.look()
                sent_items.look()
                inboxes.look()
                if time.monotonic() - swept >= DRAFTS_INTERVAL:
                    swept = time.monotonic()
                    orphans.sweep()
                    overflow.forget_old()
            except (DatabaseError, OutboxError) as error:
                recycle(error)
            except Exception:
                log.exception("housekeeping stumbled; it goes on")
            if self._ended.wait(INTERVAL):
                break
        connection.close()
