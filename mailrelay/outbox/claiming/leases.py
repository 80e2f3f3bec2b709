"""Leases: who works on a delivery, and how the others notice when that one is gone.

A worker's first act turns its reservation into a lease; a thread of its process renews the lease every
third of `LEASE_SECONDS`. What becomes of those that nobody renews is in `expiry`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import F

from mailrelay.models import AppRegistration, Delivery, Mailbox, Message, SenderConfig, SendLog
from mailrelay.outbox.claiming.claim import RESERVATION
from mailrelay.outbox.db import clock, counters, rows, statements
from mailrelay.outbox.db.bulk import Insert
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.errors import LeaseLostError
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.rules import limits
from mailrelay.periodic import PeriodicThread
from mailrelay.vocabulary import Route, SentItems, State

_WORK = (
    rows.Columns(Delivery, "delivery"),
    rows.Columns(Message, "message"),
    rows.Columns(SenderConfig, "sender"),
    rows.Columns(Mailbox, "mailbox"),
    rows.Columns(AppRegistration, "app"),
)
RESERVED = f"""
    SELECT {", ".join(columns.sql for columns in _WORK)} FROM mailrelay_delivery delivery
    JOIN mailrelay_message message ON message.id = delivery.message_id
    JOIN mailrelay_senderconfig sender ON sender.id = delivery.sender_id
    JOIN mailrelay_mailbox mailbox ON mailbox.id = delivery.mailbox_id
    JOIN mailrelay_appregistration app ON app.id = mailbox.registration_id
    WHERE delivery.id = %s AND delivery.token = %s AND delivery.state = 'reserved'
"""  # noqa: S608 - columns of our own
LEASE = """
    UPDATE mailrelay_delivery SET state = 'sending', leased_until = %s, lease_owner = %s
    WHERE id = %s AND token = %s AND state = 'reserved'
"""
BEGIN = """
    UPDATE mailrelay_delivery SET leased_until = %s, crashes = 0, copy_allowed = FALSE
    WHERE id = %s AND token = %s AND state = 'sending' AND NOT EXISTS (
        SELECT 1 FROM mailrelay_mailbox mailbox
        WHERE mailbox.id = mailrelay_delivery.mailbox_id AND mailbox.paused_until > %s
    )
"""
_begun = Insert(
    SendLog,
    *("message_id", "delivery_id", "number", "route", "started_at", "client_request_id", "size", "worker"),
    "copy_due_at",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is on record and not settled."""

    id: int
    delivery_id: int
    message_id: UUID
    mailbox_id: int
    #: As in the id of its task; a reservation that led to no request leaves a gap.
    number: int
    client_request_id: str
    started_at: datetime
    #: The lease it was begun under.
    token: UUID | None
    #: Whether its delivery is all of its message.
    alone: bool


def take(delivery_id: int, token: UUID) -> Delivery | None:
    """Turn the reservation `token` into a lease; None when it is not to be carried out.

    That is when it is not the one that counts any more, and when what it goes through was found to be at
    fault since it was made: then it goes back, and one probe tells for all. Raises OutboxError and
    DatabaseError.
    """
    delivery = _reserved(delivery_id, token)
    if delivery is not None and _is_overtaken(delivery):
        give_back(delivery_id, token)
        return None

    def run() -> datetime | None:
        end = _lease_end(clock.now())
        if statements.changed(LEASE, end, counters.process_name(), delivery_id, token):
            return end
        counters.add(counters.CLAIM_CONFLICTS)
        return None

    end = write(Move.LEASE, run, durable=False)
    if delivery is None or end is None:
        return None
    delivery.state, delivery.leased_until = State.SENDING, end
    return delivery


def _reserved(delivery_id: int, token: UUID) -> Delivery | None:
    """Read a reserved delivery with all that its sending needs."""
    row = statements.first(RESERVED, delivery_id, token)
    if row is None:
        return None
    delivery: Delivery
    delivery, delivery.message, delivery.sender, mailbox, mailbox.registration = rows.read_all(row, *_WORK)
    delivery.mailbox = mailbox
    if delivery.sender.mailbox_id == mailbox.pk:
        delivery.sender.mailbox = mailbox
    return delivery


def _is_overtaken(delivery: Delivery) -> bool:
    """Whether a fault that holds or stops all mail was noticed after the reservation was made."""
    assert delivery.leased_until is not None
    reserved_at = delivery.leased_until - timedelta(seconds=RESERVATION)
    stops = (delivery.mailbox.blocked_since, delivery.mailbox.registration.failing_since)
    return any(since is not None and reserved_at < since for since in stops)


def begun_at(delivery: Delivery) -> datetime:
    """Return when the lease of a delivery was taken, as `take` gave it."""
    assert delivery.leased_until is not None
    return delivery.leased_until - timedelta(seconds=settings.LEASE_SECONDS)


def begin(delivery: Delivery, size: int, route: Route = Route.MIME, *, second_copy: bool = False) -> Attempt:
    """Put an attempt on record, before its request; `second_copy`: an earlier one may have sent the mail.

    Raises LeaseLostError when the lease is gone, and when the mailbox was paused since it was taken: then
    the delivery is back in the queue.
    """
    client_request_id = str(uuid4())

    def run() -> tuple[int, datetime] | None:
        now = clock.now()
        if not statements.changed(BEGIN, _lease_end(now), delivery.pk, delivery.token, now):
            held = Delivery.objects.filter(pk=delivery.pk, token=delivery.token, state=State.SENDING)
            if held.update(state=State.QUEUED, token=None, leased_until=None):
                _refund(delivery, now)
                configuration_holds.give_probe_back(delivery.mailbox.registration_id, now)
            return None
        if second_copy:
            Delivery.objects.filter(pk=delivery.pk).update(copies=F("copies") + 1)
            counters.add(counters.SECOND_COPIES)
            whose = "by hand" if delivery.copy_allowed else "by the sender's policy"
            message_state.note(delivery, f"Sent again {whose}: this may be a second copy.", now)
        ids = (delivery.message_id, delivery.pk, delivery.claims)
        copy_due_at = now if delivery.sender.sent_items == SentItems.REMOVE else None
        facts = (route, now, client_request_id, size, counters.process_name(), copy_due_at)
        return _begun.one(*ids, *facts), now

    begun = write(Move.BEGIN, run)
    if begun is None:
        raise LeaseLostError("The lease or the mailbox's turn ended before the request began.")
    return _attempt(begun[0], delivery, delivery.claims, client_request_id, begun[1])


def note_asked(attempt: Attempt) -> None:
    """Put on record that an open attempt asks for a draft now: should no answer come, it is looked for."""
    write(Move.DRAFT, lambda: SendLog.objects.filter(pk=attempt.id).update(draft_asked=True))


def note_draft(attempt: Attempt, draft_id: str, *, complete: bool = False) -> None:
    """Put on record which draft an open attempt fills, and that it is whole; an empty id: it is gone.

    Raises LeaseLostError when the lease is gone: what another may have taken on must not be sent.
    """

    def run() -> None:
        held = Delivery.objects.filter(pk=attempt.delivery_id, token=attempt.token, state=State.SENDING)
        if draft_id and not held.update(leased_until=_lease_end(clock.now())):
            raise LeaseLostError("The lease ended before the draft was sent; nothing was sent.")
        if draft_id:  # what another attempt left is this one's now
            SendLog.objects.filter(delivery_id=attempt.delivery_id, draft_id=draft_id).update(draft_id="")
        SendLog.objects.filter(pk=attempt.id).update(
            draft_id=draft_id, draft_complete=complete, draft_asked=False
        )

    write(Move.DRAFT, run)


def forget_draft(log_id: int) -> None:
    """Note that the draft of an attempt is gone, or not its own any more, or was never made."""
    rows = SendLog.objects.filter(pk=log_id)
    write(Move.DRAFT, lambda: rows.update(draft_id="", draft_asked=False), durable=False)


def attempt_of(row: SendLog, delivery: Delivery) -> Attempt:
    """Give an attempt on record to who holds the delivery now, to settle it."""
    return _attempt(row.pk, delivery, row.number, row.client_request_id, row.started_at)


def _attempt(
    log_id: int, delivery: Delivery, number: int, client_request_id: str, started_at: datetime
) -> Attempt:
    return Attempt(
        id=log_id,
        delivery_id=delivery.pk,
        message_id=delivery.message_id,
        mailbox_id=delivery.mailbox_id,
        number=number,
        client_request_id=client_request_id,
        started_at=started_at,
        token=delivery.token,
        alone=delivery.recipient_count == delivery.message.recipient_count,
    )


def give_back(delivery_id: int, token: UUID) -> bool:
    """Return a reservation that could not be published; False when it is not the one that counts."""

    def run() -> bool:
        now = clock.now()
        rows = Delivery.objects.filter(pk=delivery_id, token=token, state=State.RESERVED)
        row = rows.first()
        if row is None or not rows.update(state=State.QUEUED, token=None, leased_until=None):
            return False
        _refund(row, now)
        return True

    return write(Move.GIVE_BACK, run, durable=False)


def _refund(row: Delivery, now: datetime) -> None:
    mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=row.mailbox_id)
    limits.refund(mailbox, row, now)
    mailbox.wake_at = now
    mailbox.save(update_fields=[*limits.COLUMNS, "wake_at"])


class Keeper:
    """Renews every lease that this process holds, from one thread."""

    def __init__(self) -> None:
        self._held: set[tuple[int, UUID]] = set()
        self._lock = threading.Lock()
        self._renewer: Renewer | None = None

    @contextmanager
    def holding(self, delivery: Delivery) -> Iterator[None]:
        """Keep the lease of `delivery` alive for as long as the block runs."""
        assert delivery.token is not None
        key = (delivery.pk, delivery.token)
        with self._lock:
            self._held.add(key)
            if self._renewer is None or not self._renewer.is_alive():  # as in a forked child
                self._renewer = Renewer(self.held)
                self._renewer.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(key)

    def held(self) -> list[tuple[int, UUID]]:
        """Give the key and the token of each delivery that is held now."""
        with self._lock:
            return list(self._held)


class Renewer(PeriodicThread):
    """Renews the leases that `held` names, three times in the life of each."""

    name = "leases"

    def __init__(self, held: Callable[[], list[tuple[int, UUID]]]) -> None:
        super().__init__()
        self._held = held
        self.delay = self.pause()

    def run_once(self) -> None:
        if held := self._held():
            write(Move.RENEW, partial(_renew, held), durable=False)

    def pause(self) -> float:
        return settings.LEASE_SECONDS / 3


def _renew(held: list[tuple[int, UUID]]) -> None:
    tokens = [token for _, token in held]
    mine = Delivery.objects.filter(pk__in=[pk for pk, _ in held], token__in=tokens, state=State.SENDING)
    mine.update(leased_until=_lease_end(clock.now()))


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.LEASE_SECONDS)


keeper = Keeper()
