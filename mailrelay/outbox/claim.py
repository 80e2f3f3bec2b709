"""Claim: the only place where limits are decided.

A claim locks one mailbox row, asks its limits, and reserves the next deliveries in fair order: the most
urgent class first, and within it one client after the other. Its cost does not depend on how much waits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import F, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.outbox import capacity, clock, limits, stoppage
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import Reason, Route, State

#: Seconds for which a reservation waits for a worker to begin.
RESERVATION = 30.0
#: Seconds after which large mail that found no room looks for some again.
LARGE_WAIT = 2.0
#: Deliveries that one claim takes at most, where nothing else limits it.
MOST_AT_ONCE = 32

CLAIM_FIELDS = (*limits.COLUMNS, "served_client", "wake_at", "probe_at", "succeeded_at")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A delivery that was claimed and waits to be published."""

    delivery_id: int
    message_id: UUID
    token: UUID
    number: int
    queue: str

    @property
    def task_id(self) -> str:
        """`<message id>.<n>`, so that Flower finds a task by the queue id."""
        return f"{self.message_id.hex}.{self.number}"


def claim(mailbox_id: int, most: int = MOST_AT_ONCE) -> list[Reservation]:
    """Reserve what `mailbox_id` may send now, in a transaction of its own."""
    return write(Move.CLAIM, lambda: claim_in(lock(mailbox_id), clock.now(), most), durable=False)


def lock(mailbox_id: int) -> Mailbox:
    """Take the mailbox's row for this transaction, waiting for whoever has it.

    NO KEY UPDATE: an accept that inserts a delivery of the mailbox shares its key, and need not wait.
    """
    boxes = Mailbox.objects.select_related("registration")
    return boxes.select_for_update(of=("self",), no_key=True).get(pk=mailbox_id)


def claim_in(mailbox: Mailbox, now: datetime, most: int = MOST_AT_ONCE) -> list[Reservation]:
    """Reserve up to `most` deliveries of a locked mailbox, and note when a claim could next succeed."""
    limits.refill(mailbox, now)
    mailbox.wake_at = None
    reserved: list[Reservation] = []
    if not _stopped(mailbox, now):
        reserved = _reserve(mailbox, now, most)
    mailbox.save(update_fields=CLAIM_FIELDS)
    return reserved


def _stopped(mailbox: Mailbox, now: datetime) -> bool:
    """Whether the mailbox has to wait as a whole; notes when it need not."""
    if mailbox.paused_until is not None and mailbox.paused_until > now:
        mailbox.wake_at = mailbox.paused_until
        return True
    if mailbox.blocked and mailbox.probe_at is not None and mailbox.probe_at > now:
        mailbox.wake_at = mailbox.probe_at
        stoppage.hold_behind(mailbox, now)
        return True
    return not mailbox.registration.active or _registration_stops(mailbox, now)


def _registration_stops(mailbox: Mailbox, now: datetime) -> bool:
    """Whether a failing registration has no probe to give; wins it for one claim otherwise.

    The scheduler looks after failing registrations by themselves: their mailboxes need not wake.
    """
    registration = mailbox.registration
    if not registration.failing:
        return False
    due = AppRegistration.objects.filter(pk=registration.pk, retry_at__lte=now)
    if due.update(retry_at=now + timedelta(seconds=stoppage.PROBE_INTERVAL)):
        return False
    stoppage.hold_behind(mailbox, now)
    return True


def _reserve(mailbox: Mailbox, now: datetime, most: int) -> list[Reservation]:
    """Take one after the other, as long as every limit admits the next."""
    queue = capacity.queue_of(mailbox.registration.managed_by)
    use = capacity.in_use(mailbox, queue)
    slots = limits.free_slots(mailbox, use.mailbox)
    probing = bool(mailbox.blocked or mailbox.registration.failing)
    allowed = min(most, use.free, *([] if slots is None else [slots]), *([1] if probing else []))
    reserved: list[Reservation] = []
    room = use.large
    while len(reserved) < allowed:
        row = _next(mailbox, [taken.delivery_id for taken in reserved], large=room > 0) or _probe(mailbox)
        if row is None:
            break
        opens = limits.opens_at(mailbox, row, now)
        if opens > now:
            mailbox.wake_at = opens
            break
        mailbox.served_client = row.client_key
        if taken := _reserve_one(row, capacity.queue_of(mailbox.registration.managed_by, row.route), now):
            room -= row.route == Route.LARGE
            limits.spend(mailbox, row, now)
            reserved.append(taken)
    if len(reserved) == allowed:
        _note_when_to_look_again(mailbox, now, full=slots is not None and allowed == slots)
    elif mailbox.wake_at is None and room <= 0 and _waiting(mailbox).filter(route=Route.LARGE).exists():
        mailbox.wake_at = now + timedelta(seconds=LARGE_WAIT)
    if mailbox.blocked:
        mailbox.probe_at = mailbox.wake_at = now + timedelta(seconds=stoppage.PROBE_INTERVAL)
    return reserved


def _note_when_to_look_again(mailbox: Mailbox, now: datetime, *, full: bool) -> None:
    """More waits than may start: whoever settles claims the next, so that full slots need no early look.

    A mailbox that lacks a free worker alone stays due, behind those that have waited longer.
    """
    if _waiting(mailbox).exists():
        lease_end = now + timedelta(seconds=RESERVATION)
        mailbox.wake_at = (limits.slot_free_at(mailbox, now) or lease_end) if full else now


def _waiting(mailbox: Mailbox) -> QuerySet[Delivery]:
    return Delivery.objects.filter(mailbox=mailbox, state=State.QUEUED)


def _next(mailbox: Mailbox, taken: list[int], *, large: bool) -> Delivery | None:
    """Return the next in turn: of small mail, and of large where there is room, the more urgent or older."""
    waiting = _waiting(mailbox).exclude(pk__in=taken)
    small_one = _next_of(waiting.filter(route=Route.MIME), mailbox.served_client)
    large_one = _next_of(waiting.filter(route=Route.LARGE), mailbox.served_client) if large else None
    if small_one is None or large_one is None:
        return small_one or large_one
    return min(small_one, large_one, key=lambda row: (row.urgency, row.pk))


def _next_of(waiting: QuerySet[Delivery], served_client: str) -> Delivery | None:
    """Return the next of one route: the first two lines are index look-ups, however long the queue is."""
    waiting = waiting.order_by("urgency", "client_key", "pk")
    first = _locked(waiting).first()
    if first is None or first.client_key > served_client:
        return first
    later = waiting.filter(urgency=first.urgency, client_key__gt=served_client)
    return _locked(later).first() or first


def _probe(mailbox: Mailbox) -> Delivery | None:
    """Where all mail is held for a broken configuration, take one of it to see whether that is mended."""
    if not stoppage.of(mailbox):
        return None
    held = Delivery.objects.filter(mailbox=mailbox, state=State.HELD, reason__in=stoppage.REASONS)
    return _locked(held.order_by("pk")).first()


def _locked(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return (
        rows.select_for_update(skip_locked=True, no_key=True) if connection.vendor == "postgresql" else rows
    )


def _reserve_one(row: Delivery, queue: str, now: datetime) -> Reservation | None:
    token = uuid4()
    moved = Delivery.objects.filter(pk=row.pk, state=row.state).update(
        state=State.RESERVED,
        reason=Reason.NONE,
        token=token,
        claims=F("claims") + 1,
        leased_until=now + timedelta(seconds=RESERVATION),
        lease_owner="",
        next_attempt_at=None,
    )
    return Reservation(row.pk, row.message_id, token, row.claims + 1, queue) if moved else None
