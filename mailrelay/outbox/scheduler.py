"""The scheduler: finds what is due, what is lost and what is over, and writes nothing when nothing is.

Any number of processes may run one: every move is conditional, so two that see the same work do it once.
"""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import datetime

from django.db import DatabaseError, connection
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.outbox import capacity, clock, follow, leases, publish, statements, stoppage, sweep
from mailrelay.outbox.claim import claim
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import recycle, write
from mailrelay.vocabulary import ManagedBy, Reason, State

log = logging.getLogger(__name__)

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
ANY_DUE = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM mailrelay_mailbox WHERE wake_at <= %s)
        OR EXISTS (SELECT 1 FROM mailrelay_appregistration WHERE failing <> '' AND retry_at <= %s)
"""

_running: "Scheduler | None" = None


def poke(mailbox_id: int | None = None) -> None:
    """Let this process's scheduler look now, if it has one; otherwise another's finds what is due."""
    if _running is not None:
        _running.poke(mailbox_id)


class Scheduler:
    """A thread that looks when something is due, or when it is poked. One a process."""

    def __init__(self) -> None:
        self._poked = threading.Event()
        self._stopping = False
        self._wanted: set[int] = set()
        self._lock = threading.Lock()
        self._glance = Rhythm(GLANCE_INTERVAL)
        self._rhythm = {sweep.run: Rhythm(sweep.INTERVAL), clockwork: Rhythm(CLOCKWORK_INTERVAL)}
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        global _running  # noqa: PLW0603 - the one of this process
        _running = self
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread, waiting `timeout` seconds at most."""
        self._stopping = True
        self._poked.set()
        self._thread.join(timeout)

    def poke(self, mailbox_id: int | None = None) -> None:
        """Look now: at `mailbox_id` if something was just queued for it, and at what else is due."""
        if mailbox_id is not None:
            with self._lock:
                self._wanted.add(mailbox_id)
        self._poked.set()

    def _run(self) -> None:
        while not self._stopping:
            wait = LONGEST_SLEEP
            try:
                wait = self._look()
            except (DatabaseError, OutboxError) as error:
                recycle(error)
                log.warning("the queue could not be looked at (%s); tried again in a moment", error)
            except Exception:
                log.exception("the scheduler stumbled; it goes on")
            time.sleep(SHORTEST_SLEEP)
            self._poked.wait(wait)
            self._poked.clear()
        connection.close()

    def _look(self) -> float:
        """Do all that is due; return the seconds until something may be."""
        more = [rhythm for step, rhythm in self._rhythm.items() if rhythm.is_due() and step()]
        for rhythm in more:
            rhythm.hurry()
        wait = self._serve()
        return min(wait, GLANCE_INTERVAL) if more else wait

    def _serve(self) -> float:
        """Claim for all that is due; return the seconds until something may be."""
        if publish.broker_rests() or not capacity.free_at_all():
            # Whoever was just queued for is remembered until a worker comes free.
            return LONGEST_SLEEP
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        if wanted and not self._glance.is_due():
            # Whose mail was just queued is served at once; the others' turn comes within a moment.
            serve(wanted)
            return GLANCE_INTERVAL
        claimed = serve({*wanted, *_due(clock.now())})
        return GLANCE_INTERVAL if claimed else _until_next(clock.now())


class Rhythm:
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
    expired = leases.expire() if statements.found(LEASES_OVER, now) else 0
    promoted = promote() if statements.found(WAITS_OVER, now) else 0
    return expired >= leases.BATCH or promoted >= BATCH


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
    if not statements.found(ANY_DUE, now, now):
        return []
    awake = Mailbox.objects.filter(wake_at__lte=now).order_by("wake_at")
    due: list[int] = []
    owned = Q(registration__managed_by=ManagedBy.ENVIRONMENT)
    for owner, of_owner in ((ManagedBy.ENVIRONMENT, owned), (ManagedBy.ADMIN, ~owned)):
        free = capacity.free(capacity.queue_of(owner))
        if free:
            able = awake.filter(of_owner).exclude(registration__in=capacity.full_registrations())
            due += able.values_list("pk", flat=True)[: min(free, BATCH)]
            due += _probes(Mailbox.objects.filter(of_owner), now)
    return due


def _failing(now: datetime) -> QuerySet[AppRegistration]:
    return AppRegistration.objects.exclude(failing=Reason.NONE).filter(retry_at__lte=now)


def _probes(boxes: QuerySet[Mailbox], now: datetime) -> list[int]:
    """Choose one mailbox with mail of each failing registration whose next probe is due."""
    going = Delivery.objects.filter(mailbox=OuterRef("pk"), sender__paused_at__isnull=True)
    waiting = going.filter(Q(state=State.QUEUED) | Q(state=State.HELD, reason__in=stoppage.REASONS))
    # What waits for something of its own, a bucket or a pause, has nothing to probe with yet.
    boxes = boxes.filter(Q(wake_at__isnull=True) | Q(wake_at__lte=now))
    chosen = (
        boxes.filter(registration=registration).filter(Exists(waiting)).values_list("pk", flat=True).first()
        for registration in _failing(now)[:BATCH]
    )
    return [pk for pk in chosen if pk is not None]


def _until_next(now: datetime) -> float:
    nexts = (
        Mailbox.objects.filter(wake_at__isnull=False).aggregate(at=Min("wake_at")),
        Delivery.objects.filter(DUE).aggregate(at=Min("next_attempt_at")),
        AppRegistration.objects.exclude(failing=Reason.NONE).aggregate(at=Min("retry_at")),
    )
    waits = [(found["at"] - now).total_seconds() for found in nexts if found["at"] is not None]
    # What is due already and could not be served waits for a worker, and whoever settles pokes.
    return max(0.01, min((wait for wait in waits if wait > 0), default=LONGEST_SLEEP))


def promote() -> int:
    """Queue what has waited long enough; return how many deliveries moved."""
    return write(Move.PROMOTE, _promote_batch)


def _promote_batch() -> int:
    now = clock.now()
    rows = Delivery.objects.filter(DUE, next_attempt_at__lte=now).order_by("next_attempt_at")
    due = list(rows.select_for_update(of=("self",), skip_locked=True, no_key=True)[:BATCH])
    for row in due:
        Delivery.objects.filter(pk=row.pk, state=row.state).update(state=State.QUEUED, next_attempt_at=None)
        follow.message(row.message_id, now)
    Mailbox.objects.filter(pk__in={row.mailbox_id for row in due}).update(wake_at=now)
    return len(due)
