"""Looks for what is the matter and tells people: a thread, of which one in all processes is at work."""

import logging

from django.db.models import Q

from mailrelay.models import AlertChannel
from mailrelay.notify import conditions, episodes, leader
from mailrelay.outbox.db import clock, counters
from mailrelay.periodic import PeriodicThread

log = logging.getLogger(__name__)

#: Seconds between two looks, and for which one process is the one that looks.
INTERVAL, HELD = 10.0, 30.0
#: Seconds for which a process that does not deliver leaves it to those that do.
PATIENCE = 20.0
NAME = "alerts"


class Watch(PeriodicThread):
    """The thread. `delivers` is false in a relay, which looks only while nobody who delivers does.

    What telling needs (TLS, the Graph edge) costs memory, and is imported when there is something to tell.
    """

    name = NAME
    interval = delay = INTERVAL

    def __init__(self, *, delivers: bool = True) -> None:
        super().__init__()
        self._lead = 0.0 if delivers else PATIENCE
        self._holder = counters.process_name()

    def run_once(self) -> None:
        # A process without anybody to tell has nothing to hold.
        if AlertChannel.objects.filter(active=True).exists() and self._is_ours():
            look()

    def at_end(self) -> None:
        leader.give_back(NAME, self._holder)

    def _is_ours(self) -> bool:
        return leader.take(NAME, self._holder, HELD, self._lead)


def look() -> None:
    """Look once, and tell the channels that are due."""
    now = clock.now()
    findings = conditions.look(now)
    episodes.enter(findings, now)
    troubled = frozenset(pk for one in findings for pk in one.senders)
    due = Q(next_at__isnull=True) | Q(next_at__lte=now)
    for channel in AlertChannel.objects.filter(due, active=True).defer("url").order_by("pk"):
        changes = episodes.changes(channel, now)
        if changes:
            from mailrelay.notify.channels import tell

            tell(channel, changes, troubled, now)
