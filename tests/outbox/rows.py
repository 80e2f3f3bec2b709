"""Rows for tests of the queue inside this process, made without the way that mail takes."""

from datetime import timedelta
from uuid import uuid4

from django.db import connection

from mailrelay.models import (
    AppRegistration,
    ContentChunk,
    Delivery,
    Mailbox,
    Message,
    Recipient,
    SenderConfig,
    SendLog,
    Worker,
)
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import clock
from mailrelay.outbox.submission import CHUNK_SIZE, Submission, new_queue_id
from mailrelay.vocabulary import Outcome, State, Urgency


def registration(name="app", **more) -> AppRegistration:
    return AppRegistration.objects.create(name=name, tenant_id="t", client_id=name, **more)


def mailbox(address="box@contoso.test", app=None, **more) -> Mailbox:
    app = app or AppRegistration.objects.filter(name="app").first() or registration()
    defaults = {"concurrency": 4, "messages_per_minute": 0}
    return Mailbox.objects.create(registration=app, address=address, **(defaults | more))


def sender(box: Mailbox, **more) -> SenderConfig:
    found = SenderConfig.objects.filter(mailbox=box).first()
    return found or SenderConfig.objects.create(name=f"sender of {box.address}", mailbox=box, **more)


def workers(threads=100, queues="deliver,deliver-large") -> None:
    now = clock.now()
    Worker.objects.create(
        name=uuid4().hex, queues=queues, capacity=threads, started_at=now, seen_at=now + timedelta(hours=1)
    )
    capacity.forget()


def queue(box: Mailbox, count=1, client="a", urgency=Urgency.NORMAL, size=1000, recipients=1, **more):
    """Queue `count` messages of one client; return their deliveries."""
    now, owner = clock.now(), sender(box)
    messages = [
        Message(
            id=uuid4(),
            created_at=now,
            client_address="127.0.0.1",
            client_name="c",
            mail_from="a@b.test",
            message_id=(name := f"m{uuid4().hex}@test"),
            message_id_key=name,
            sender=owner,
            size=size,
            recipient_count=recipients,
            state_at=now,
        )
        for _ in range(count)
    ]
    Message.objects.bulk_create(messages, batch_size=500)
    columns = {"state": State.QUEUED} | more
    deliveries = Delivery.objects.bulk_create(
        [
            Delivery(
                message=message,
                sender=owner,
                mailbox=box,
                created_at=now,
                client_key=client,
                urgency=urgency,
                size=size,
                recipient_count=recipients,
                **columns,
            )
            for message in messages
        ],
        batch_size=500,
    )
    if count <= 100:
        ContentChunk.objects.bulk_create(
            ContentChunk(content=m.pk, number=0, data=b"Subject: x\r\n\r\nx\r\n", created_at=now)
            for m in messages
        )
        Recipient.objects.bulk_create(
            Recipient(message=d.message, delivery=d, address="ann@example.org", address_key="ann@example.org")
            for d in deliveries
        )
    return deliveries


def attempt(delivery: Delivery, at) -> None:
    """Put an attempt of `delivery` that began at that time and came to nothing on record."""
    number = SendLog.objects.filter(delivery=delivery).count() + 1
    SendLog.objects.create(
        message_id=delivery.message_id,
        delivery=delivery,
        number=number,
        started_at=at,
        finished_at=at,
        outcome=Outcome.TRANSIENT,
    )


def give(delivery: Delivery, data: bytes, chunk: int = CHUNK_SIZE) -> None:
    """Make `data` the content of a delivery's message, in rows of `chunk` bytes."""
    ContentChunk.objects.filter(content=delivery.message_id).delete()
    ContentChunk.objects.bulk_create(
        ContentChunk(
            content=delivery.message_id, number=number, data=data[at : at + chunk], created_at=clock.now()
        )
        for number, at in enumerate(range(0, len(data), chunk))
    )
    Message.objects.filter(pk=delivery.message_id).update(size=len(data))
    Delivery.objects.filter(message=delivery.message_id).update(size=len(data))


def copy(row: Delivery, times: int) -> None:
    """Queue the delivery `times` more, as rows of the database's own making: objects would take minutes."""
    names = [field.column for field in row._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(f'"{name}"' for name in names)
    statement = f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
        INSERT INTO mailrelay_delivery ({columns})
        SELECT {columns} FROM mailrelay_delivery, numbers WHERE mailrelay_delivery.id = %s AND n <= %s
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, [times, row.pk, times])


def submission(box: Mailbox, mail, **more) -> Submission:
    """Give what the listener submits for a mail to one recipient; `mail` is its content."""
    columns = {
        "id": new_queue_id(),
        "received_at": clock.now(),
        "client_id": None,
        "client_key": "c",
        "client_address": "127.0.0.1",
        "client_name": "c",
        "mail_from": "app@contoso.test",
        "recipients": ("ann@example.org",),
        "header_from": "app@contoso.test",
        "subject": "report",
        "message_id": "report@test",
        "sender_id": box.senders.get().pk,
        "registration_id": box.registration_id,
        "mailbox_address": box.address,
    }
    return Submission(content=mail, **columns | more)
