"""The rows of accepted mail: message, content, deliveries and recipients, for many mails at once."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Length

from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, Recipient
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.bulk import Insert
from mailrelay.outbox.errors import ContentNotWholeError
from mailrelay.outbox.keeping import subject_index
from mailrelay.outbox.submission import NO_RECIPIENT_DSN, Submission

#: Seconds for which a mailbox's row is remembered: what is changed in the admin counts within seconds.
REMEMBERED = 2.0
#: Characters of a text that an index takes in PostgreSQL, 4 bytes each in 2,704
#: (https://www.postgresql.org/docs/current/btree.html).
KEY_LENGTH = 600

_messages = Insert(
    Message,
    *("id", "created_at", "state_at", "client_id", "client_address", "client_name", "mail_from"),
    *("header_from", "from_key", "subject", "message_id", "message_id_key", "sender_id", "size"),
    *("recipient_count", "dsn_ret", "dsn_envid", "fingerprint"),
)
_chunks = Insert(ContentChunk, "content", "number", "data", "created_at")
_deliveries = Insert(
    Delivery,
    *("id", "message_id", "sender_id", "mailbox_id", "created_at", "size", "recipient_count", "urgency"),
    *("route", "client_key", "part"),
)
_recipients = Insert(
    Recipient, "message_id", "delivery_id", "address", "address_key", "dsn_notify", "dsn_orcpt"
)


@dataclass(slots=True)
class Arrived:
    """A mail to store; `data` is its content, or None where that is stored already."""

    submission: Submission
    data: bytes | None
    #: Whether it was tried before, with an outcome that is not known.
    tried: bool = False


class Target(NamedTuple):
    """What accepting has to know of a mailbox."""

    id: int
    recipients_per_message: int


class Part(NamedTuple):
    """Recipients that one delivery takes, numbered from 1; 0 where that is all of them."""

    number: int
    recipients: tuple[str, ...]


class Store:
    """Stores mails in a handful of statements. Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._targets: dict[tuple[int, str], Target] = {}
        self._boxes_until = 0.0

    def insert(self, mails: list[Arrived]) -> dict[UUID, int]:
        """Insert the rows of `mails` in the caller's transaction; return the mailbox id of each mail's.

        What was tried before may have been stored then: it is looked for first, and nothing that was
        remembered is relied on. Raises ContentNotWholeError where content that was stored ahead is not there.
        """
        again = [mail.submission.id for mail in mails if mail.tried]
        if again:
            self._boxes_until = 0.0
        boxes = self._targets_of(mail.submission for mail in mails)
        stored = set(Message.objects.filter(pk__in=again).values_list("pk", flat=True)) if again else ()
        new = [pair for pair in zip(mails, boxes, strict=True) if pair[0].submission.id not in stored]
        if new:
            self._insert(new)
        return {mail.submission.id: box.id for mail, box in zip(mails, boxes, strict=True)}

    def _insert(self, mails: list[tuple[Arrived, Target]]) -> None:
        now = clock.now()
        _refuse_partial([mail.submission for mail, _ in mails if mail.data is None])
        for mail, _ in mails:
            mail.tried = True
        _messages(_message(mail.submission, now) for mail, _ in mails)
        _chunks([mail.submission.id, 0, mail.data, now] for mail, _ in mails if mail.data is not None)
        parts = [
            (mail.submission, part, box.id)
            for mail, box in mails
            for part in _parts(mail.submission.recipients, box.recipients_per_message)
        ]
        numbered = list(zip(_delivery_ids(len(parts)), parts, strict=True))
        _deliveries(_delivery(pk, mail, box, part, now) for pk, (mail, part, box) in numbered)
        _recipients(
            [
                mail.id,
                pk,
                address,
                address.lower(),
                *mail.dsn_request.recipients.get(address, NO_RECIPIENT_DSN),
            ]
            for pk, (mail, part, _) in numbered
            for address in part.recipients
        )
        subject_index.add((pk, mail.subject) for pk, (mail, part, _) in numbered if part.number <= 1)
        counters.add(counters.ACCEPTED, len(mails))

    def _targets_of(self, submissions: Iterable[Submission]) -> list[Target]:
        """Find the mailbox of each; one that a From address names for the first time is made."""
        if time.monotonic() > self._boxes_until:
            self._targets = {}
            self._boxes_until = time.monotonic() + REMEMBERED
        keys = [(submission.registration_id, submission.mailbox_address) for submission in submissions]
        for key in set(keys) - self._targets.keys():
            self._targets[key] = _target(*key)
        return [self._targets[key] for key in keys]


def key_of(message_id: str) -> str:
    """Give what Message-IDs are found by."""
    return message_id.lower()[:KEY_LENGTH]


def store_chunks(content: UUID, pieces: Iterable[tuple[int, bytes]], now: datetime) -> None:
    """Store numbered pieces of a large content ahead of its message."""
    _chunks([content, number, data, now] for number, data in pieces)


def _refuse_partial(mails: list[Submission]) -> None:
    """Look whether all that was stored ahead of these mails is there; a receipt for less would be false."""
    if not mails:
        return
    chunks = ContentChunk.objects.filter(content__in=[mail.id for mail in mails])
    # Who sweeps has the first row before it takes any: it waits for this commit, or what it took shows here.
    first = chunks.filter(number=0).order_by("content")
    list(first.select_for_update(no_key=True).values_list("pk", flat=True))
    stored = dict(chunks.values_list("content").annotate(size=Sum(Length("data"))))
    for mail in mails:
        if stored.get(mail.id, 0) != mail.content.size:
            raise ContentNotWholeError(stored.get(mail.id, 0), mail.content.size)


def _target(registration_id: int, address: str) -> Target:
    row, _ = Mailbox.objects.get_or_create(registration_id=registration_id, address=address)
    return Target(row.pk, row.recipients_per_message)


def _message(mail: Submission, now: datetime) -> list[object]:
    return [
        mail.id,
        now,
        now,
        mail.client_id,
        mail.client_address,
        mail.client_name,
        mail.mail_from,
        mail.header_from,
        mail.header_from.lower(),
        mail.subject,
        mail.message_id,
        key_of(mail.message_id),
        mail.sender_id,
        mail.content.size,
        len(mail.recipients),
        mail.dsn_request.ret,
        mail.dsn_request.envid,
        mail.fingerprint.text if mail.fingerprint else "",
    ]


def _delivery(pk: int, mail: Submission, mailbox_id: int, part: Part, now: datetime) -> list[object]:
    return [
        pk,
        mail.id,
        mail.sender_id,
        mailbox_id,
        now,
        mail.content.size,
        len(part.recipients),
        mail.urgency,
        mail.route,
        mail.client_key,
        part.number,
    ]


def _parts(recipients: tuple[str, ...], most: int) -> Iterator[Part]:
    """Split recipients into what one message through the mailbox may have."""
    first = 1 if most and len(recipients) > most else 0
    rest = iter(recipients)
    for number in count(first):
        taken = tuple(islice(rest, most or None))
        if not taken:
            return
        yield Part(number, taken)


def _delivery_ids(count: int) -> Iterable[int]:
    """Take `count` ids, which the recipients' rows need before the database has given any."""
    table = Delivery._meta.db_table  # noqa: SLF001 - Django documents it
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # The transaction holds the only write lock there is, and explicit ids move the sequence on.
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            row = cursor.fetchone()
            first = row[0] + 1 if row else 1
            return range(first, first + count)
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count]
        )
        return [number for (number,) in cursor.fetchall()]
