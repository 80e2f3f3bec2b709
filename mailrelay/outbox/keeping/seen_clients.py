"""Records clients that were seen and mail that was refused, in batches, in a table that stays small."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from mailrelay.models import Refusal, SmtpClient
from mailrelay.outbox.db import clock, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.rules import age

#: Rows that are kept at most, new ones that one batch may bring, and how long a row stays unrepeated.
MOST, MOST_NEW = 2_000, 50
KEPT = timedelta(days=30)
#: Characters of a reply.
REPLY = 500
_NOTE = """
    INSERT INTO mailrelay_refusal (address, rule, client_name, mail_from, reply, count, first_at, last_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (address, rule) DO UPDATE SET count = mailrelay_refusal.count + excluded.count,
        client_name = excluded.client_name, mail_from = excluded.mail_from, reply = excluded.reply,
        last_at = excluded.last_at
"""


@dataclass(slots=True)
class Refused:
    """What one rule refused of one address since the last batch; the texts are those of the latest."""

    address: str
    rule: str
    client_name: str
    mail_from: str
    reply: str
    count: int = 1


def record(seen: Iterable[int], refused: Iterable[Refused]) -> None:
    """Write that the clients with the ids `seen` are here now, and what was refused. Raises OutboxError."""
    # In one order, so that two processes never wait for each other's rows.
    clients, batch = sorted(seen), sorted(refused, key=lambda row: (row.address, row.rule))
    if clients or batch:
        write(Move.REGISTER, lambda: _record(clients, batch), durable=False)


def prune() -> None:
    """Forget what was not repeated for KEPT. Raises OutboxError."""
    write(Move.REGISTER, lambda: _prune(clock.now()), durable=False)


def _record(seen: list[int], refused: list[Refused]) -> None:
    now = clock.now()
    for client_id in seen:
        earlier = Q(seen_at__lt=now) | Q(seen_at__isnull=True)
        SmtpClient.objects.filter(earlier, pk=client_id).update(seen_at=now)
    known = _known(refused)
    new = [row for row in refused if (row.address, row.rule) not in known]
    for row in [row for row in refused if (row.address, row.rule) in known] + new[:MOST_NEW]:
        texts = (row.address, row.rule, row.client_name[:200], row.mail_from[:320], row.reply[:REPLY])
        statements.changed(_NOTE, *texts, row.count, now, now)
    if new:
        _prune(now)


def _known(refused: list[Refused]) -> set[tuple[str, str]]:
    found = Refusal.objects.filter(address__in={row.address for row in refused})
    return set(found.values_list("address", "rule"))


def _prune(now: datetime) -> None:
    Refusal.objects.filter(last_at__lt=age.ago(KEPT, now)).delete()
    kept = Refusal.objects.order_by("-last_at").values_list("last_at", flat=True)
    oldest = kept[MOST - 1 : MOST].first() if kept.count() > MOST else None
    if oldest is not None:
        Refusal.objects.filter(last_at__lt=oldest).delete()
