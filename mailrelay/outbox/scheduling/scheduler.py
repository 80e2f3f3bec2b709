"""The scheduler: finds what is due, what is lost and what is over, and writes nothing when nothing is.

Any number of processes may run one: every move is conditional, so two that see the same work do it once.
"""

import threading
import time
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.outbox.claiming import capacity, publish
from mailrelay.outbox.claiming.claim import claim
from mailrelay.outbox.db import clock, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.scheduling import sweep
from mailrelay.outbox.settling import expiry
from mailrelay.periodic import PeriodicThread
from mailrelay.vocabulary import ManagedBy, Reason, State

#: Seconds after which the scheduler looks again though nothing announced itself.
LONGEST_SLEEP = 1.0
#: Seconds between two looks while pokes come in without end: they share one.
SHORTEST_SLEEP = 0.01
#: Seconds between two looks for leases that are over and waits that have ended.
CLOCKWORK_INTERVAL = 0.25
#: Seconds between two looks at all that is due while there is more to do than that.
GLANCE_INTERVAL = 0.05
#: Rows that one step deals with.
BATCH = 200
DUE = Q(state__in=[State.DEFERRED, State.UNCERTAIN])

LEASES_OVER = """
    SELECT 1 FROM mailrelay_delivery WHERE state IN ('reserved', 'sending') AND leased_until < %s LIMIT 1
"""
WAITS_OVER = """
    SELECT 1 FROM mailrelay_delivery
    WHERE state IN ('deferred', 'uncertain') AND next_attempt_at <= %s LIMIT 1
"""
ANY_AWAKE = "SELECT 1 FROM mailrelay_mailbox WHERE wake_at <= %s LIMIT 1"
AWAKE = """
    SELECT mailbox.id FROM mailrelay_mailbox mailbox
    JOIN mailrelay_appregistration app ON app.id = mailbox.registration_id
    WHERE mailbox.wake_at <= %s AND (app.managed_by = 'environment') = %s
"""
ANY_FAILING = "SELECT 1 FROM mailrelay_appregistration WHERE failing <> '' AND retry_at <= %s LIMIT 1"
NEXT = """
    SELECT (SELECT MIN(wake_at) FROM mailrelay_mailbox WHERE wake_at > %s),
        (SELECT MIN(next_attempt_at) FROM mailrelay_delivery
            WHERE state IN ('deferred', 'uncertain') AND next_attempt_at > %s),
        (SELECT MIN(retry_at) FROM mailrelay_appregistration WHERE failing <> '' AND retry_at > %s)
"""

_running: "Scheduler | None" = None


def wake(mailbox_id: int | None = None) -> None:
    """Let this process's scheduler look now, if it has one; otherwise another's finds what is due."""
    if _running is not None:
        _running.wake(mailbox_id)


class Scheduler(PeriodicThread):
    """Looks when something is due, or when it is poked. One a process."""

    name = "scheduler"
    interval = LONGEST_SLEEP

    def __init__(self) -> None:
        super().__init__()
        self._poked = threading.Event()
        self._wait = LONGEST_SLEEP
        self._wanted: set[int] = set()
        self._lock = threading.Lock()
        self._glance = Interval(GLANCE_INTERVAL)
        self._intervals = {sweep.run: Interval(sweep.INTERVAL), clockwork: Interval(CLOCKWORK_INTERVAL)}

    def start(self) -> None:
        global _running  # noqa: PLW0603 - the one of this process
        _running = self
        super().start()

    def stop(self) -> None:
        self.ended.set()
        self._poked.set()
        super().stop()

    def wake(self, mailbox_id: int | None = None) -> None:
        """Look now: at `mailbox_id` if something was just queued for it, and at what else is due."""
        if mailbox_id is not None:
            with self._lock:
                self._wanted.add(mailbox_id)
        self._poked.set()

    def run_once(self) -> None:
        self._wait = LONGEST_SLEEP  # where the look fails
        self._wait = self._look()

    def rest(self) -> None:
        self.ended.wait(SHORTEST_SLEEP)
        self._poked.wait(self._wait)
        self._poked.clear()

    def _look(self) -> float:
        """Do all that is due; return the seconds until something may be."""
        more = [interval for step, interval in self._intervals.items() if interval.is_due() and step()]
        for interval in more:
            interval.hurry()
        wait = self._serve()
        return min(wait, GLANCE_INTERVAL) if more else wait

    def _serve(self) -> float:
        """Claim for all that is due; return the seconds until something may be."""
        if publish.broker_rests() or not capacity.free_at_all():
            # A mailbox that got mail just now is remembered until a worker comes free.
            return LONGEST_SLEEP
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        if wanted and not self._glance.is_due():
            # Whose mail was just queued is served at once; the others' turn comes within a moment.
            serve(wanted)
            return GLANCE_INTERVAL
        claimed = serve({*wanted, *_due(clock.now())})
        return GLANCE_INTERVAL if claimed else _until_next(clock.now())


class Interval:
    """Says when `interval` seconds have gone by since it said so last."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last = -interval

    def is_due(self) -> bool:
        if time.monotonic() - self._last < self._interval:
            return False
        self._last = time.monotonic()
        return True

    def hurry(self) -> None:
        """Say so the next time that it is asked."""
        self._last = -self._interval


def tick() -> None:
    """Do once, in this thread, all that a scheduler does."""
    clockwork()
    while sweep.run():
        pass
    serve(_due(clock.now()))


def clockwork() -> bool:
    """Move what only time moves: leases that are over, waits that have ended; True: there may be more."""
    now = clock.now()
    expired = expiry.expire() if statements.found(LEASES_OVER, now) else 0
    promoted = promote() if statements.found(WAITS_OVER, now) else 0
    return expired >= expiry.BATCH or promoted >= BATCH


def serve(mailboxes: Iterable[int]) -> int:
    """Claim and publish for each; return how many deliveries that were."""
    claimed = 0
    for mailbox_id in mailboxes:
        reservations = claim(mailbox_id)
        publish.publish(reservations)
        claimed += len(reservations)
    return claimed


def _due(now: datetime) -> list[int]:
    """List mailboxes whose turn has come, longest waiting first, no more than workers are free for."""
    awake, failing = statements.found(ANY_AWAKE, now), statements.found(ANY_FAILING, now)
    due: list[int] = []
    for owner in (ManagedBy.ENVIRONMENT, ManagedBy.ADMIN) if awake or failing else ():
        free = capacity.free(capacity.queue_of(owner))
        if free and awake:
            due += _awake(owner, now, min(free, BATCH))
        if free and failing:
            due += _probes(owner, now)
    return due


def _awake(owner: ManagedBy, now: datetime, most: int) -> list[int]:
    full = capacity.full_registrations()
    able = f"AND app.id NOT IN ({', '.join(['%s'] * len(full))})" if full else ""
    sql = f"{AWAKE} {able} ORDER BY mailbox.wake_at LIMIT %s"
    rows = statements.every(sql, now, owner == ManagedBy.ENVIRONMENT, *full, most)
    return [mailbox_id for (mailbox_id,) in rows]


def _failing(now: datetime) -> QuerySet[AppRegistration]:
    return AppRegistration.objects.exclude(failing=Reason.NONE).filter(retry_at__lte=now)


def _probes(owner: ManagedBy, now: datetime) -> list[int]:
    """Choose one mailbox with mail of each failing registration whose next probe is due."""
    owned = Q(registration__managed_by=ManagedBy.ENVIRONMENT)
    sending = Q(sender__paused_at__isnull=True, sender__active=True)
    going = Delivery.objects.filter(sending, mailbox=OuterRef("pk"))
    waiting = going.filter(
        Q(state=State.QUEUED) | Q(state=State.HELD, reason__in=configuration_holds.REASONS)
    )
    # What waits for something of its own, a bucket or a pause, has nothing to probe with yet.
    boxes = Mailbox.objects.filter(Q(wake_at__isnull=True) | Q(wake_at__lte=now))
    boxes = boxes.filter(owned if owner == ManagedBy.ENVIRONMENT else ~owned)
    chosen = (
        boxes.filter(registration=registration).filter(Exists(waiting)).values_list("pk", flat=True).first()
        for registration in _failing(now)[:BATCH]
    )
    return [pk for pk in chosen if pk is not None]


def _until_next(now: datetime) -> float:
    # What is due already and could not be served waits for a worker, and each settlement pokes.
    nexts = statements.first(NEXT, now, now, now) or ()
    waits = ((statements.moment(at) - now).total_seconds() for at in nexts if at is not None)
    return max(SHORTEST_SLEEP, min(waits, default=LONGEST_SLEEP))


def promote() -> int:
    """Queue what has waited long enough; return how many deliveries moved."""
    return write(Move.PROMOTE, _promote_batch)


def _promote_batch() -> int:
    now = clock.now()
    rows = Delivery.objects.filter(DUE, next_attempt_at__lte=now).order_by("next_attempt_at")
    due = list(rows.select_for_update(of=("self",), skip_locked=True, no_key=True)[:BATCH])
    for row in due:
        Delivery.objects.filter(pk=row.pk, state=row.state).update(state=State.QUEUED, next_attempt_at=None)
        message_state.message(row.message_id, now)
    Mailbox.objects.filter(pk__in={row.mailbox_id for row in due}).update(wake_at=now)
    return len(due)
