"""Rows as the other rooms leave them, for pages to show."""

from datetime import timedelta

from mailrelay.models import (
    AppRegistration,
    ContentChunk,
    Delivery,
    Mailbox,
    Message,
    Recipient,
    SenderConfig,
    SendLog,
)
from mailrelay.outbox.db import clock
from mailrelay.outbox.submission import new_queue_id
from mailrelay.vocabulary import State

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"


def make_registration(name="contoso", **columns):
    columns = {"tenant_id": TENANT, "client_id": CLIENT, "secret": "stored-secret-value"} | columns
    return AppRegistration.objects.create(name=name, **columns)


def make_sender(registration, name="office", address="office@contoso.test", **columns):
    mailbox, _ = Mailbox.objects.get_or_create(registration=registration, address=address)
    return SenderConfig.objects.create(name=name, mailbox=mailbox, **columns)


def make_message(sender, *, state=State.QUEUED, recipients=("anna@example.org",), delivery=None, **columns):
    """Store a message with one delivery, its recipients and its content."""
    now = clock.now()
    columns = {
        "created_at": now,
        "client_address": "192.0.2.7",
        "client_name": "printer.contoso.test",
        "mail_from": "Scanner@contoso.test",
        "header_from": "Scanner@contoso.test",
        "subject": "Scan",
        "message_id": f"{now.timestamp()}@printer",
        "size": 12,
        "state": State.QUEUED if state in {State.RESERVED, State.SENDING} else state,
        "state_at": now,
    } | columns
    row = Message.objects.create(
        id=new_queue_id(),
        sender=sender,
        recipient_count=len(recipients),
        message_id_key=columns["message_id"].lower(),
        from_key=columns["header_from"].lower(),
        **columns,
    )
    part = Delivery.objects.create(
        message=row,
        sender=sender,
        mailbox=sender.mailbox,
        created_at=now,
        state=state,
        **({"client_key": "192.0.2.7"} | (delivery or {})),
    )
    for address in recipients:
        Recipient.objects.create(message=row, delivery=part, address=address, address_key=address.lower())
    ContentChunk.objects.create(content=row.pk, number=0, data=b"From: a\r\n\r\n\r\n"[:12], created_at=now)
    return row


def make_attempt(message, number=1, **columns):
    started = message.created_at + timedelta(seconds=number)
    delivery = message.deliveries.get()
    return SendLog.objects.create(
        message=message, delivery=delivery, number=number, started_at=started, **columns
    )
