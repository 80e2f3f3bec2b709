"""Looks for what is the matter and tells people: a thread, of which one in all processes is at work."""

import logging
import threading

from django.db import DatabaseError, connection
from django.db.models import Q

from mailrelay.alerts import book, conditions, lease
from mailrelay.models import AlertChannel
from mailrelay.outbox import clock, counters
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.writer import recycle

log = logging.getLogger(__name__)

#: Seconds between two looks, and for which one process is the one that looks.
INTERVAL, HELD = 10.0, 30.0
#: Seconds for which a process that does not deliver leaves it to those that do.
PATIENCE = 20.0
NAME = "alerts"


class Watch:
    """The thread. `delivers` is false in a relay, which looks only while nobody who delivers does.

    What telling needs (TLS, the Graph edge) costs memory, and is imported when there is something to tell.
    """

    def __init__(self, *, delivers: bool = True) -> None:
        self._patience = 0.0 if delivers else PATIENCE
        self._holder = counters.process_name()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                # A process without anybody to tell has nothing to hold.
                if AlertChannel.objects.filter(active=True).exists() and self._is_ours():
                    look()
            except (DatabaseError, OutboxError) as error:
                recycle(error)
            except Exception:
                log.exception("the look for what is the matter stumbled; it goes on")
        try:
            lease.give_back(NAME, self._holder)
        except (DatabaseError, OutboxError) as error:
            recycle(error)
        connection.close()

    def _is_ours(self) -> bool:
        return lease.take(NAME, self._holder, HELD, self._patience)


def look() -> None:
    """Look once, and tell whoever is to be told."""
    now = clock.now()
    findings = conditions.look(now)
    book.enter(findings, now)
    troubled = frozenset(pk for one in findings for pk in one.senders)
    due = Q(next_at__isnull=True) | Q(next_at__lte=now)
    for channel in AlertChannel.objects.filter(due, active=True).defer("url").order_by("pk"):
        news = book.news(channel, now)
        if news:
            from mailrelay.alerts.telling import tell

            tell(channel, news, troubled, now)
