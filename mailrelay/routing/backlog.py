"""Backlogs that are too long to take more into: counted by the database, in queries of bounded size.

Mail that would wait for more than a quarter of its life is better kept by the client, which knows what it
may drop. A client may have half of that, so that one flood leaves room for everybody else's mail. What is
deferred, may have to be sent again, or is held until a configuration is fixed, has its turn before mail
that comes now, and counts as what is queued does.
"""

from collections import defaultdict
from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from mailrelay import metrics
from mailrelay.routing.table import Backlog, MailboxKey
from mailrelay.vocabulary import Reason

#: Of DELIVERY_MAX_AGE, how much of it may lie before a mailbox at its own rate.
AGE_SHARE = 4
#: Of that, how much one client may have.
CLIENT_SHARE = 2
#: Deliveries that are counted one by one for a mailbox, and of those that wait for a time of their own.
MOST = 100_000
#: Why mail is held that a person has to decide on by itself; all else is set free together.
BY_THEMSELVES = (Reason.BY_HAND, Reason.POISON, Reason.UNCERTAIN, Reason.LOOP, Reason.CONTENT_LOST)
FIXED = tuple(reason for reason in Reason if reason and reason not in BY_THEMSELVES)


class Load(NamedTuple):
    """What waits, as the limits count it; `size` is bytes as received."""

    mails: int = 0
    recipients: int = 0
    size: int = 0

    def plus(self, other: "Load") -> "Load":
        return Load(*map(sum, zip(self, other, strict=True)))


class Limit(NamedTuple):
    """A limit of a mailbox: its column, the seconds that it is for, and what it counts of a load.

    A bucket fills evenly; a window lets all that it has through at once, and then nothing until it is over.
    """

    column: str
    span: int
    counted: Callable[[Load], float]
    evenly: bool = False

    def seconds(self, load: Load, value: int) -> float:
        """Return how long the last of a load waits for this limit, which was not used before."""
        spans = self.counted(load) / value
        return self.span * (spans if self.evenly else max(0, ceil(spans) - 1))

    def admitted(self, seconds: float, value: int) -> float:
        """Return how much of what it counts need not wait for longer than so many seconds."""
        spans = seconds / self.span
        return value * (spans if self.evenly else int(spans) + 1)


#: As `outbox.limits` keeps them; Graph counts what is uploaded as base64, four bytes for three.
LIMITS = (
    Limit("messages_per_minute", 60, lambda load: load.mails, evenly=True),
    Limit("requests_per_10_minutes", 600, lambda load: load.mails),
    Limit("recipients_per_day", 86_400, lambda load: load.recipients),
    Limit("upload_bytes_per_5_minutes", 300, lambda load: load.size * 4 / 3),
)
_LIMITS = ", ".join(limit.column for limit in LIMITS)

#: States are constants here, without which SQLite does not use the indexes of such deliveries alone.
_MAILBOXES = f"""
SELECT id, registration_id, address, EXISTS (
  SELECT 1 FROM mailrelay_delivery WHERE mailbox_id = mailrelay_mailbox.id AND state = 'queued'
) OR EXISTS (
  SELECT 1 FROM mailrelay_delivery WHERE mailbox_id = mailrelay_mailbox.id AND state = 'held'
), {_LIMITS} FROM mailrelay_mailbox"""  # noqa: S608 - columns of our own
_LATER = """
SELECT mailbox_id, client_key, COUNT(*), SUM(recipient_count), SUM(size) FROM (
  SELECT mailbox_id, client_key, recipient_count, size FROM mailrelay_delivery
  WHERE state IN ('deferred', 'uncertain') ORDER BY next_attempt_at LIMIT %s
) later GROUP BY mailbox_id, client_key"""
_SHARES = """
SELECT client_key, COUNT(*), SUM(recipient_count), SUM(size) FROM (
  SELECT client_key, recipient_count, size FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'queued'
  ORDER BY route, urgency, client_key, id LIMIT %s
) waiting GROUP BY client_key"""
_HELD = f"""
SELECT client_key, COUNT(*), SUM(recipient_count), SUM(size) FROM (
  SELECT client_key, recipient_count, size FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'held'
  AND reason IN ({", ".join(["%s"] * len(FIXED))}) ORDER BY reason, id LIMIT %s
) waiting GROUP BY client_key"""  # noqa: S608 - marks of parameters
Shares = dict[str, Load]


def measure() -> Backlog:
    """Count what waits before each mailbox that has a rate. Raises django.db.DatabaseError."""
    mailboxes: set[MailboxKey] = set()
    clients: set[tuple[MailboxKey, str]] = set()
    life = settings.DELIVERY_MAX_AGE / AGE_SHARE
    later = _later()
    for pk, registration, address, waits, *limits in _rows(_MAILBOXES):
        rates = {limit: value for limit, value in zip(LIMITS, limits, strict=True) if value}
        if not rates or not (waits or pk in later):
            continue
        key, shares = (registration, address), later[pk]
        if waits:
            most = _most(rates, life)
            _add(shares, _rows(_SHARES, pk, most))
            _add(shares, _rows(_HELD, pk, *FIXED, most))
        whole = Load(*map(sum, zip(*shares.values(), strict=True)))
        if whole.mails > CLIENT_SHARE and _seconds(rates, whole) > life:
            mailboxes.add(key)
        own = life / CLIENT_SHARE
        clients |= {(key, c) for c, load in shares.items() if load.mails > 1 and _seconds(rates, load) > own}
    _show(mailboxes)
    return Backlog(frozenset(mailboxes), frozenset(clients))


def _seconds(rates: dict[Limit, int], load: Load) -> float:
    """Return how long the slowest of its limits lets a mailbox take for a load."""
    return max(limit.seconds(load, value) for limit, value in rates.items())


def _most(rates: dict[Limit, int], life: float) -> int:
    """Return how many deliveries certainly are too many, if they have a recipient each and no size."""
    one = Load(1, 1)
    bounds = (int(limit.admitted(life, value)) for limit, value in rates.items() if limit.counted(one))
    return min(MOST, *(max(CLIENT_SHARE, bound) + 1 for bound in bounds))


def _later() -> defaultdict[int, Shares]:
    """Count by mailbox and client what waits for a time of its own."""
    found: defaultdict[int, Shares] = defaultdict(dict)
    for pk, *share in _rows(_LATER, MOST):
        _add(found[pk], [tuple(share)])
    return found


def _add(shares: Shares, rows: list[tuple[Any, ...]]) -> None:
    for client, *counts in rows:
        shares[client] = shares.get(client, Load()).plus(Load(*map(int, counts)))


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _show(mailboxes: set[MailboxKey]) -> None:
    metrics.SMTP_BACKLOGGED.clear()
    for _, address in mailboxes:
        metrics.SMTP_BACKLOGGED.labels(mailbox=address).set(1)
