"""Claim: the only place where limits are decided.

A claim locks one mailbox row, asks its limits, and reserves the next deliveries in fair order: the most
urgent class first, and within it one client after the other. Its cost does not depend on how much waits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from mailrelay.models import AppRegistration, Mailbox
from mailrelay.models.messages import task_id
from mailrelay.models.senders import SECRETS
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import clock, rows, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.rules import limits
from mailrelay.vocabulary import Route, State

#: Seconds for which a reservation waits for a worker to begin.
RESERVATION = 30.0
#: Seconds after which large mail that found no room looks for some again.
LARGE_WAIT = 2.0
#: Deliveries that one claim takes at most, where nothing else limits it.
MOST_AT_ONCE = 32

CLAIM_FIELDS = (*limits.COLUMNS, "served_client", "wake_at", "probe_at", "succeeded_at")

_MAILBOX = rows.Columns(Mailbox, "mailbox")
_REGISTRATION = rows.Columns(AppRegistration, "app", without=SECRETS)
LOCK = f"""
    SELECT {_MAILBOX.sql}, {_REGISTRATION.sql} FROM mailrelay_mailbox mailbox
    JOIN mailrelay_appregistration app ON app.id = mailbox.registration_id WHERE mailbox.id = %s
"""  # noqa: S608 - columns of our own

_COLUMNS = "id, message_id, state, route, urgency, client_key, claims, size, recipient_count, part"
NEXT = f"SELECT {_COLUMNS} FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'queued' AND route = %s"  # noqa: S608 - columns of our own
HELD = f"SELECT {_COLUMNS} FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'held'"  # noqa: S608 - likewise
WAITS = "SELECT 1 FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'queued' LIMIT 1"
LARGE_WAITS = """
    SELECT 1 FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'queued' AND route = 'large' LIMIT 1
"""
MAY_SEND = """NOT EXISTS (
    SELECT 1 FROM mailrelay_senderconfig s
    WHERE s.id = sender_id AND (s.paused_at IS NOT NULL OR NOT s.active))
"""
RESERVE = f"""
    UPDATE mailrelay_delivery SET state = 'reserved', reason = '', token = %s, claims = claims + 1,
        leased_until = %s, lease_owner = '', next_attempt_at = NULL, released_at = COALESCE(%s, released_at)
    WHERE id = %s AND state = %s AND {MAY_SEND}
"""  # noqa: S608 - words of our own


@dataclass(frozen=True, slots=True)
class Reservation:
    """A delivery that was claimed and waits to be published."""

    delivery_id: int
    message_id: UUID
    token: UUID
    part: int
    number: int
    queue: str

    @property
    def task_id(self) -> str:
        return task_id(self.message_id, self.part, self.number)


def claim(mailbox_id: int, most: int = MOST_AT_ONCE) -> list[Reservation]:
    """Reserve what `mailbox_id` may send now, in a transaction of its own."""
    return write(Move.CLAIM, lambda: claim_in(lock(mailbox_id), clock.now(), most), durable=False)


def lock(mailbox_id: int) -> Mailbox:
    """Take the mailbox's row for this transaction; wait while another transaction has it.

    NO KEY UPDATE: an accept that inserts a delivery of the mailbox shares its key, and need not wait.
    """
    row = statements.first(f"{LOCK} {statements.lock('mailbox')}", mailbox_id)
    if row is None:
        raise Mailbox.DoesNotExist(f"There is no mailbox {mailbox_id}.")
    mailbox: Mailbox
    mailbox, mailbox.registration = rows.read_all(row, _MAILBOX, _REGISTRATION)
    return mailbox


def claim_in(mailbox: Mailbox, now: datetime, most: int = MOST_AT_ONCE) -> list[Reservation]:
    """Reserve up to `most` deliveries of a locked mailbox, and note when a claim could next succeed."""
    limits.refill(mailbox, now)
    mailbox.wake_at = None
    reserved: list[Reservation] = []
    if not _stopped(mailbox, now):
        reserved = _reserve(mailbox, now, most)
        if mailbox.registration.failing and not reserved:
            # The probe was won for nothing: another mailbox may have what this one lacks.
            configuration_holds.give_probe_back(mailbox.registration_id, now)
    rows.save(mailbox, CLAIM_FIELDS)
    return reserved


def anything_waits(mailbox_id: int) -> bool:
    """Whether a claim could find anything: a look at the end of an index, without a lock."""
    return statements.found(WAITS, mailbox_id)


def _stopped(mailbox: Mailbox, now: datetime) -> bool:
    """Whether the mailbox has to wait as a whole; notes when it need not."""
    if mailbox.paused_until is not None and mailbox.paused_until > now:
        mailbox.wake_at = mailbox.paused_until
        return True
    if mailbox.blocked and mailbox.probe_at is not None and mailbox.probe_at > now:
        mailbox.wake_at = mailbox.probe_at
        configuration_holds.hold_behind(mailbox, now)
        return True
    return not mailbox.registration.active or _registration_stops(mailbox, now)


def _registration_stops(mailbox: Mailbox, now: datetime) -> bool:
    """Whether a failing registration has no probe to give; wins it for one claim otherwise.

    The scheduler looks after failing registrations by themselves: their mailboxes need not wake.
    """
    registration = mailbox.registration
    if not registration.failing or configuration_holds.take_probe(registration.pk, now):
        return False
    configuration_holds.hold_behind(mailbox, now)
    return True


def _reserve(mailbox: Mailbox, now: datetime, most: int) -> list[Reservation]:
    """Take one after the other, as long as every limit admits the next."""
    if not anything_waits(mailbox.pk) and not configuration_holds.of(mailbox):
        return []
    if mailbox.registration.concurrency:
        # One after the other: two that count at once would both find the last slot free.
        AppRegistration.objects.select_for_update(no_key=True).only("pk").get(pk=mailbox.registration_id)
    use = capacity.in_use(mailbox, capacity.queue_of(mailbox.registration.managed_by))
    slots = limits.free_slots(mailbox, use.mailbox)
    probing = bool(mailbox.blocked or mailbox.registration.failing)
    allowed = min(most, use.free, *([] if slots is None else [slots]), *([1] if probing else []))
    room = use.large
    rotation = Rotation(mailbox)
    row = rotation.next(large=room > 0) or _probe(mailbox)
    reserved: list[Reservation] = []
    held = 0
    while row is not None and len(reserved) < allowed:
        opens = limits.opens_at(mailbox, row, now)
        if opens > now:
            mailbox.wake_at = opens
            return reserved
        mailbox.served_client = row.client_key
        if taken := _reserve_one(row, capacity.queue_of(mailbox.registration.managed_by, row.route), now):
            room -= row.route == Route.LARGE
            limits.spend(mailbox, row, now)
            if mailbox.failures:  # it is asked without mail first
                limits.spend_request(mailbox, now)
            reserved.append(taken)
        elif configuration_holds.hold_resting(row.pk, now):
            held += 1
            if held >= MOST_AT_ONCE:
                mailbox.wake_at = now
                return reserved
        row = rotation.next(large=room > 0)
    if row is not None:
        # Each settlement claims the next, so that full slots need no early look. A mailbox that lacks a
        # free worker alone stays due, behind those that have waited longer.
        lease_end = now + timedelta(seconds=RESERVATION)
        full = slots is not None and allowed == slots
        mailbox.wake_at = (limits.slot_free_at(mailbox, now) or lease_end) if full else now
    elif rotation.passed_over_large:
        mailbox.wake_at = now + timedelta(seconds=LARGE_WAIT)
    if mailbox.blocked and reserved:
        mailbox.probe_at = mailbox.wake_at = now + timedelta(seconds=configuration_holds.PROBE_INTERVAL)
    return reserved


class Rotation:
    """Whose turn it is: the most urgent class first, within it one client after the other."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._seen: list[int] = []
        self._large_waits = statements.found(LARGE_WAITS, mailbox.pk)
        self.passed_over_large = False

    def next(self, *, large: bool) -> "Candidate | None":
        """Return the next in turn, each once: of small mail, and of large where there is room for it."""
        row = self._next_of(Route.MIME)
        if self._large_waits:
            self.passed_over_large = not large
            row = self._first(row, self._next_of(Route.LARGE)) if large else row
        if row is not None:
            self._seen.append(row.pk)
        return row

    def _first(self, small: "Candidate | None", large: "Candidate | None") -> "Candidate | None":
        """Choose between them as between any two: by urgency, by whose turn it is, then by age."""
        served = self._mailbox.served_client
        both = (row for row in (small, large) if row is not None)
        turns = (((row.urgency, row.client_key <= served, row.client_key, row.pk), row) for row in both)
        return min(turns, key=lambda rotation: rotation[0], default=(None, None))[1]

    def _next_of(self, route: Route) -> "Candidate | None":
        """Look it up in the index, one line or two, however long the queue is."""
        served = self._mailbox.served_client
        first = self._look_up(route, "")
        if first is None or first.client_key > served:
            return first
        later = self._look_up(route, "AND urgency = %s AND client_key > %s", first.urgency, served)
        return later or first

    def _look_up(self, route: Route, condition: str, *values: object) -> "Candidate | None":
        seen = f"AND id NOT IN ({', '.join(['%s'] * len(self._seen))})" if self._seen else ""
        sql = f"{NEXT} {condition} {seen} ORDER BY urgency, client_key, id LIMIT 1 {statements.for_update()}"
        return Candidate.of(statements.first(sql, self._mailbox.pk, route, *values, *self._seen))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivery that may be next, as far as a claim has to know it."""

    pk: int
    message_id: UUID
    state: str
    route: str
    urgency: int
    client_key: str
    claims: int
    size: int
    recipient_count: int
    part: int

    @classmethod
    def of(cls, row: tuple[Any, ...] | None) -> "Candidate | None":
        return None if row is None else cls(row[0], statements.uuid(row[1]), *row[2:])


def _probe(mailbox: Mailbox) -> Candidate | None:
    """Where all mail is held for a broken configuration, take one of it to see whether that is fixed."""
    if not configuration_holds.of(mailbox):
        return None
    marks = ", ".join(["%s"] * len(configuration_holds.REASONS))
    sql = f"{HELD} AND reason IN ({marks}) AND {MAY_SEND} ORDER BY id LIMIT 1 {statements.for_update()}"
    return Candidate.of(statements.first(sql, mailbox.pk, *configuration_holds.REASONS))


def _reserve_one(row: Candidate, queue: str, now: datetime) -> Reservation | None:
    token, end = uuid4(), now + timedelta(seconds=RESERVATION)
    # What was held is a probe now: time that it lay held is not held against it.
    released_at = now if row.state == State.HELD else None
    if not statements.changed(RESERVE, token, end, released_at, row.pk, row.state):
        return None
    return Reservation(row.pk, row.message_id, token, row.part, row.claims + 1, queue)
