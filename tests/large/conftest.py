"""Installations and an office whose application may write drafts."""

from email import message_from_bytes

import pytest

from mailrelay.models import Delivery, Mailbox, Message, Recipient, SenderConfig
from mailrelay.vocabulary import LargeMail, Route
from sandbox import world
from tests.delivery.conftest import office, steady_sandbox  # noqa: F401 - fixtures
from tests.harness.processes import as_sent
from tests.outbox import rows


@pytest.fixture
def able(embedded):
    """Everything in one process; the application has Mail.ReadWrite."""
    embedded.environment |= {
        "AZURE_CLIENT_ID": world.SECOND_CLIENT,
        "AZURE_CLIENT_SECRET": "sandbox-secret-2",
        "UNCERTAIN_DELAY": "2",
    }
    return embedded


@pytest.fixture
def writer(office, settings, monkeypatch):  # noqa: F811 - the fixture above
    """An office whose application may write drafts and whose uploads wait for nothing."""
    from mailrelay.graph import uploads

    settings.GRAPH_TIMEOUT = 5
    monkeypatch.setattr(uploads, "FIRST_WAIT", 0.01)
    app = office.app("writer", world.SECOND_CLIENT, "sandbox-secret-2")
    Mailbox.objects.filter(pk=office.mailbox.pk).update(registration=app, can_draft=True, can_read=True)
    SenderConfig.objects.update(large_mail=LargeMail.AUTO)
    office.mailbox.refresh_from_db()
    return office


@pytest.fixture
def queued(writer):
    """Queue a large message as an accept would; the function returns its delivery."""

    def queue(message, route=Route.LARGE) -> Delivery:
        delivery = writer.one()
        data = message if isinstance(message, bytes) else as_sent(message)
        identifier = delivery.message_id
        rows.give(delivery, data)
        Delivery.objects.filter(pk=delivery.pk).update(route=route)
        if named := message_from_bytes(data)["Message-ID"]:
            own = named.strip().strip("<>")
            Message.objects.filter(pk=identifier).update(message_id=own, message_id_key=own.lower())
        Recipient.objects.filter(delivery=delivery).update(address="ann@example.org")
        delivery.refresh_from_db()
        return delivery

    return queue
