"""Backlogs that are too long to take more into: counted by the database, in queries of bounded size.

Mail that would wait for more than a quarter of its life is better kept by the client, which knows what it
may drop. A client may have half of that, so that one flood leaves room for everybody else's mail.
"""

from django.conf import settings
from django.db import connection

from mailrelay import metrics
from mailrelay.routing.directory import Backlog, MailboxKey

#: Of DELIVERY_MAX_AGE, how much of it may lie before a mailbox at its own rate.
AGE_SHARE = 4
#: Of that, how much one client may have.
CLIENT_SHARE = 2

#: The state is a constant here, without which SQLite does not use the index of queued deliveries.
_MAILBOXES = """
SELECT id, registration_id, address, messages_per_minute FROM mailrelay_mailbox
WHERE messages_per_minute > 0 AND EXISTS (
  SELECT 1 FROM mailrelay_delivery WHERE mailbox_id = mailrelay_mailbox.id AND state = 'queued'
)"""
_SHARES = """
SELECT client_key, COUNT(*) FROM (
  SELECT client_key FROM mailrelay_delivery WHERE mailbox_id = %s AND state = 'queued'
  ORDER BY route, urgency, client_key, id LIMIT %s
) waiting GROUP BY client_key"""


def measure() -> Backlog:
    """Count what waits before each mailbox that has a rate. Raises django.db.DatabaseError."""
    mailboxes: set[MailboxKey] = set()
    clients: set[tuple[MailboxKey, str]] = set()
    with connection.cursor() as cursor:
        cursor.execute(_MAILBOXES)
        for pk, registration, address, rate in cursor.fetchall():
            cap, key = limit(rate), (registration, address)
            cursor.execute(_SHARES, [pk, cap + 1])
            shares = dict(cursor.fetchall())
            if sum(shares.values()) > cap:
                mailboxes.add(key)
            clients |= {(key, client) for client, share in shares.items() if share > cap // CLIENT_SHARE}
    _show(mailboxes)
    return Backlog(frozenset(mailboxes), frozenset(clients))


def limit(messages_per_minute: int) -> int:
    """Deliveries that may wait before a mailbox of this rate."""
    return max(CLIENT_SHARE, messages_per_minute * settings.DELIVERY_MAX_AGE // 60 // AGE_SHARE)


def _show(mailboxes: set[MailboxKey]) -> None:
    metrics.SMTP_BACKLOGGED.clear()
    for _, address in mailboxes:
        metrics.SMTP_BACKLOGGED.labels(mailbox=address).set(1)
