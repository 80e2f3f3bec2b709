"""A queue with messages of every state, as rows, and commands run in this process or as processes."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import django
import pytest

# This file may be read before pytest-django has set Django up.
django.setup()

from mailrelay.models import (  # noqa: E402
    AppRegistration,
    Delivery,
    Mailbox,
    Message,
    Recipient,
    SenderConfig,
    SendLog,
)
from mailrelay.outbox.keeping import message_state  # noqa: E402
from mailrelay.vocabulary import Reason  # noqa: E402

BASE = datetime(2026, 11, 1, 12, tzinfo=UTC)
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def registration(transactional_db):
    return AppRegistration.objects.create(
        name="contoso", tenant_id=TENANT, client_id=CLIENT, secret="the-old-secret"
    )


@pytest.fixture
def mailbox(registration):
    return Mailbox.objects.create(registration=registration, address="gateway@contoso.test")


@pytest.fixture
def sender(mailbox):
    return SenderConfig.objects.create(name="printers", mailbox=mailbox, is_default=True)


@pytest.fixture
def store(sender):
    """Store a message whose deliveries are in the given states."""

    def store(
        *states, number=0, to=("ann@example.org",), sender=sender, error="", reason=Reason.NONE, **more
    ):
        at = BASE + timedelta(seconds=number)
        message = Message.objects.create(
            id=uuid4(),
            created_at=at,
            client_address="192.0.2.7",
            client_name="scanner.example",
            mail_from="scanner@example.org",
            header_from="scanner@example.org",
            subject=f"Scan {number}",
            message_id=f"scan-{number}@example.org",
            message_id_key=f"scan-{number}@example.org",
            from_key="scanner@example.org",
            sender=sender,
            size=2048,
            recipient_count=len(to),
            state=message_state.derived(states),
            state_at=at,
        )
        for state in states:
            delivery = Delivery.objects.create(
                message=message,
                sender=sender,
                mailbox=sender.mailbox,
                created_at=at,
                state=state,
                reason=reason,
                client_key="192.0.2.7",
                last_error=error,
                **more,
            )
        for address in to:
            Recipient.objects.create(
                message=message, delivery=delivery, address=address, address_key=address.lower()
            )
        return message

    return store


@pytest.fixture
def attempt():
    """Record an attempt of a message's first delivery."""

    def attempt(message, number=1, **columns):
        delivery = message.deliveries.order_by("pk").first()
        started = message.created_at + timedelta(seconds=number)
        return SendLog.objects.create(
            message=message, delivery=delivery, number=number, started_at=started, **columns
        )

    return attempt


@pytest.fixture
def run():
    """Run a command in this process; return what it printed."""

    def run(*arguments, **options):
        from django.core.management import call_command

        out = StringIO()
        call_command(*arguments, stdout=out, **options)
        return out.getvalue()

    return run
