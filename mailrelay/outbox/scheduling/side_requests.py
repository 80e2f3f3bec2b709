"""Requests about a mailbox beside its mail: they take one of its slots, are counted, and come second.

Microsoft counts them like mail: a fifth request at once is refused, and it may be a mail that meets that.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from mailrelay.models import Mailbox
from mailrelay.outbox.claiming import capacity, claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.rules import limits
from mailrelay.outbox.rules.limits import REQUEST, SLIDING
from mailrelay.outbox.scheduling import scheduler

#: Seconds after which a slot is free again that nobody gave back: since its process died, or Graph may be at
#: it still.
HELD = 60.0
#: Seconds after which a request may have been given up, so that Graph may still be at work on it.
PROMPT = 25.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a mailbox that a side request has; `until` is the unix second at which it ends by itself."""

    mailbox_id: int
    until: int
    begun: float


def take(mailbox: Mailbox, requests: int) -> Slot | None:
    """Take a slot for `requests` requests, one after the other; None while there is none to spare.

    That is while mail has all of them, while the mailbox rests, and while its window of requests is full.
    """

    def run() -> Slot | None:
        now, row = clock.now(), claim.lock(mailbox.pk)
        limits.refill(row, now)
        if not _has_room(row, now):
            return None
        for _ in range(requests):
            limits.spend_request(row, now)
        until = int(now.timestamp() + HELD)
        row.cooling = [*row.cooling, until]
        row.save(update_fields=limits.COLUMNS)
        return Slot(row.pk, until, time.monotonic())

    return write(Move.CLAIM, run, durable=False)


def give_back(slot: Slot) -> None:
    """Let mail have the slot, unless an answer was so long in coming that Graph may be at it still."""
    if time.monotonic() - slot.begun > PROMPT:
        return

    def run() -> bool:
        row = claim.lock(slot.mailbox_id)
        if slot.until in row.cooling:
            row.cooling.remove(slot.until)
        waits = claim.anything_waits(row.pk)
        if waits:
            row.wake_at = clock.now()
        row.save(update_fields=["cooling", "wake_at"] if waits else ["cooling"])
        return waits

    if write(Move.GIVE_BACK, run, durable=False):
        scheduler.wake(slot.mailbox_id)


def _has_room(mailbox: Mailbox, now: datetime) -> bool:
    if mailbox.paused_until is not None and mailbox.paused_until > now:
        return False
    registration = mailbox.registration
    if registration.concurrency and registration.pk in capacity.full_registrations():
        return False
    in_flight = capacity.in_use(mailbox, capacity.queue_of(registration.managed_by)).mailbox
    free = limits.free_slots(mailbox, in_flight)
    return free != 0 and all(sliding.opens_at(mailbox, REQUEST, now) <= now for sliding in SLIDING)
