"""The limits of a mailbox: slots, bucket, windows. Decided under the lock of its row alone.

The numbers are Microsoft's (https://learn.microsoft.com/graph/throttling-limits, Outlook service limits;
https://learn.microsoft.com/office365/servicedescriptions, sending limits), each settable, 0 for none.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mailrelay.models import Mailbox
from mailrelay.outbox.rules.windows import Window

MINUTE = 60.0
#: Seconds for which a slot stays taken after we gave up on its request: Graph may still be at work on it.
COOLING = 60.0


class Costly(Protocol):
    """What a delivery costs the limits by: bytes as received, and recipients."""

    @property
    def size(self) -> int: ...
    @property
    def recipient_count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a request without mail costs the limits."""

    size: int = 0
    recipient_count: int = 0


REQUEST = Request()


@dataclass(frozen=True, slots=True)
class Sliding:
    """One limit over a sliding window: its column, the column of its use, and what a delivery costs."""

    limit: str
    entries: str
    window: Window
    cost: Callable[[Costly], int]

    def opens_at(self, mailbox: Mailbox, delivery: Costly, now: datetime) -> datetime:
        limit: int = getattr(mailbox, self.limit)
        if not limit:
            return now
        return self.window.opens_at(getattr(mailbox, self.entries), self.cost(delivery), limit, now)

    def spend(self, mailbox: Mailbox, delivery: Costly, now: datetime, sign: int) -> None:
        entries = self.window.add(getattr(mailbox, self.entries), sign * self.cost(delivery), now)
        setattr(mailbox, self.entries, entries)


def wire_size(delivery: Costly) -> int:
    """Return the bytes that a delivery is on its way to Graph: base64, four for three."""
    return delivery.size * 4 // 3


RECIPIENTS = Sliding(
    "recipients_per_day", "recipient_window", Window(86_400, 3_600), lambda row: row.recipient_count
)
SLIDING = (
    Sliding("requests_per_10_minutes", "request_window", Window(600, 30), lambda _: 1),
    Sliding("upload_bytes_per_5_minutes", "upload_window", Window(300, 15), wire_size),
    RECIPIENTS,
)
#: The columns that change with use.
COLUMNS = ("tokens", "tokens_at", "cooling", *(sliding.entries for sliding in SLIDING))


def used(mailbox: Mailbox, now: datetime) -> dict[str, int]:
    """Return what of each sliding limit is used, by the limit's column."""
    return {sliding.limit: sliding.window.used(getattr(mailbox, sliding.entries), now) for sliding in SLIDING}


def recipients_today(mailbox: Mailbox, now: datetime) -> int:
    """Return the recipients of the last 24 hours that count against the mailbox's limit."""
    return used(mailbox, now)["recipients_per_day"]


def left(mailbox: Mailbox, now: datetime) -> int:
    """Return how many messages the bucket holds now; the mailbox stays as it is."""
    present = copy.copy(mailbox)
    refill(present, now)
    return int(present.tokens)


def refill(mailbox: Mailbox, now: datetime) -> None:
    """Put into the bucket what the time since its last look has earned; time run backwards earns nothing.

    A mailbox without the limit keeps no count, so that one that is given it starts with a full bucket.
    Processes that read the clock a little differently take turns here: the latest of their looks stays, or
    each turn would earn what lies between. One that lies further ahead than a bucket takes to fill is undone.
    """
    capacity, last = float(mailbox.messages_per_minute), mailbox.tokens_at
    elapsed = (now - last).total_seconds() if last is not None else 0.0
    earned = max(0.0, elapsed) * capacity / MINUTE
    mailbox.tokens = capacity if last is None else min(capacity, mailbox.tokens + earned)
    if capacity:
        mailbox.tokens_at = last if -MINUTE <= elapsed < 0 else now
    else:
        mailbox.tokens_at = None
    _forget_the_future(mailbox, now)


def _forget_the_future(mailbox: Mailbox, now: datetime) -> None:
    """Let what a clock that was ahead has written count from now on, and end slots that cooled meanwhile."""
    for limit in SLIDING:
        setattr(mailbox, limit.entries, limit.window.righted(getattr(mailbox, limit.entries), now))
    longest = int(now.timestamp() + COOLING)
    mailbox.cooling = [min(until, longest) for until in mailbox.cooling if until > now.timestamp()]


def free_slots(mailbox: Mailbox, in_flight: int) -> int | None:
    """Return how many more requests may run at once; None is no limit."""
    if not mailbox.concurrency:
        return None
    return max(0, mailbox.concurrency - in_flight - len(mailbox.cooling))


def opens_at(mailbox: Mailbox, delivery: Costly, now: datetime) -> datetime:
    """Return when bucket and windows admit `delivery`; `now` when they do."""
    return max(_next_token_at(mailbox, now), *(limit.opens_at(mailbox, delivery, now) for limit in SLIDING))


def used_up(mailbox: Mailbox, delivery: Costly, now: datetime) -> tuple[Sliding, datetime] | None:
    """Return the limit over a window that keeps `delivery` waiting longest, and its end; None: none does."""
    waits = [(limit.opens_at(mailbox, delivery, now), limit) for limit in SLIDING]
    opens, limit = max(waits, key=lambda wait: wait[0])
    return (limit, opens) if opens > now else None


def spend(mailbox: Mailbox, delivery: Costly, now: datetime) -> None:
    """Take what `delivery` costs."""
    mailbox.tokens -= 1
    for limit in SLIDING:
        limit.spend(mailbox, delivery, now, 1)


def spend_request(mailbox: Mailbox, now: datetime) -> None:
    """Take what a request without mail costs."""
    for limit in SLIDING:
        limit.spend(mailbox, REQUEST, now, 1)


def refund(mailbox: Mailbox, delivery: Costly, now: datetime) -> None:
    """Give back what a delivery that never became a request had taken."""
    mailbox.tokens = min(float(mailbox.messages_per_minute), mailbox.tokens + 1)
    for limit in SLIDING:
        limit.spend(mailbox, delivery, now, -1)


def give_back_recipients(mailbox: Mailbox, delivery: Costly, now: datetime) -> None:
    """Let a request that Graph refused for a recipient count as none of the day's; saves the row."""
    RECIPIENTS.spend(mailbox, delivery, now, -1)
    mailbox.save(update_fields=[RECIPIENTS.entries])


def cool(mailbox: Mailbox, now: datetime) -> None:
    """Keep a slot taken for a while though its request is over for us."""
    mailbox.cooling = [*mailbox.cooling, int(now.timestamp() + COOLING)]


def slot_free_at(mailbox: Mailbox, now: datetime) -> datetime | None:
    """Return when the next cooling slot may be used again; None when none is cooling."""
    soonest = min(mailbox.cooling, default=None)
    return None if soonest is None else now + timedelta(seconds=max(0.0, soonest - now.timestamp()))


def _next_token_at(mailbox: Mailbox, now: datetime) -> datetime:
    missing = 1.0 - mailbox.tokens
    if not mailbox.messages_per_minute or missing <= 0:
        return now
    return max(now, mailbox.tokens_at or now) + timedelta(
        seconds=missing * MINUTE / mailbox.messages_per_minute
    )
