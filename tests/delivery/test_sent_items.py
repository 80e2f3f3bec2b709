"""Copies in Sent Items: kept, or removed afterwards where the application may; or said to stay."""

from datetime import timedelta

import pytest

from mailrelay.delivery import sent_items
from mailrelay.graph import folders
from mailrelay.models import Mailbox, Message, SenderConfig, SendLog
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Outcome, SentItems, State
from sandbox import world
from tests.delivery.office import timeline
from tests.outbox import rows
from tests.sandbox.graph_client import Graph

BOX = "gateway@contoso.test"


@pytest.fixture
def tidy(office):
    """An office whose application may change the mailbox, and whose sender removes its copies."""
    app = office.app("writer", world.SECOND_CLIENT, "sandbox-secret-2")
    Mailbox.objects.filter(pk=office.mailbox.pk).update(registration=app, can_draft=True, can_read=True)
    SenderConfig.objects.update(sent_items=SentItems.REMOVE)
    office.mailbox.refresh_from_db()
    return office


def copies(office) -> list[str]:
    graph = Graph(office.sandbox, world.SECOND_CLIENT, "sandbox-secret-2")
    found = graph.call("GET", f"/users/{BOX}/mailFolders/{folders.SENT_ITEMS}/messages?$top=100").json()
    return [item["internetMessageId"] for item in found["value"]]


def test_a_copy_is_kept_unless_the_sender_says_otherwise(tidy):
    SenderConfig.objects.update(sent_items=SentItems.KEEP)
    delivery = tidy.one()
    tidy.work()

    assert sent_items.look() == 0
    assert copies(tidy) == [f"<{delivery.message.message_id}>"]


def test_copies_are_removed_and_nothing_else_in_sent_items(tidy):
    kept = tidy.one()
    SenderConfig.objects.update(sent_items=SentItems.KEEP)
    tidy.work()
    SenderConfig.objects.update(sent_items=SentItems.REMOVE)
    delivery, other = tidy.queue(2)
    tidy.work()

    assert sent_items.look() == 2

    assert copies(tidy) == [f"<{kept.message.message_id}>"]
    assert "was removed" in timeline(delivery)
    assert "was removed" in timeline(other)
    assert sent_items.look() == 0
    assert len(tidy.sandbox.deliveries()) == 3


def test_a_copy_that_comes_late_is_waited_for(tidy):
    tidy.sandbox.world(behaviour={"sent_items_delay": 3600})
    delivery = tidy.one()
    tidy.work()
    sent_items.look()
    assert SendLog.objects.get(delivery=delivery).copy_due_at is not None
    assert sent_items.look() == 0

    tidy.later(60)
    assert sent_items.look() == 1
    assert timeline(delivery) == ""


def test_a_copy_that_is_not_found_is_said_to_stay(tidy):
    tidy.sandbox.world(behaviour={"rewrite_message_id": True})
    delivery = tidy.one()
    tidy.work()

    tidy.later(3700)
    sent_items.look()

    assert "was not found" in timeline(delivery)
    assert len(copies(tidy)) == 1
    tidy.later(3700)
    assert sent_items.look() == 0


def test_an_older_mail_of_the_same_message_id_is_left_alone(tidy):
    delivery = tidy.one()
    tidy.work()
    SendLog.objects.filter(delivery=delivery).update(started_at="2100-01-01T00:00:00Z")

    sent_items.look()

    assert len(copies(tidy)) == 1


@pytest.mark.parametrize("known", [False, None])
def test_without_the_permission_the_copy_stays_and_the_timeline_says_so(office, known):
    SenderConfig.objects.update(sent_items=SentItems.REMOVE)
    Mailbox.objects.update(can_draft=known)
    delivery = office.one()
    office.work()

    assert sent_items.look() == 1

    assert "Mail.ReadWrite" in timeline(delivery)
    assert len(office.requests("sendMail")) == 1
    assert sent_items.look() == 0
    assert Mailbox.objects.get(pk=office.mailbox.pk).can_draft is False


def test_mail_that_was_not_sent_has_no_copy_to_look_for(tidy):
    tidy.sandbox.fault("sendMail", "status", status=400, code="ErrorInvalidRecipients")
    tidy.one()
    tidy.work()

    assert sent_items.look() == 1
    assert not SendLog.objects.filter(copy_due_at__isnull=False).exists()
    assert not tidy.requests("folders")


def test_copies_wait_while_mail_has_all_slots_of_the_mailbox(tidy):
    delivery = tidy.one()
    tidy.work()
    before = len(tidy.requests("folders"))
    Mailbox.objects.update(concurrency=1)
    (other,) = rows.queue(tidy.mailbox, 1, state=State.SENDING, leased_until=clock.now() + timedelta(days=9))

    tidy.later(7200)
    assert sent_items.look() == 1
    assert len(tidy.requests("folders")) == before
    assert timeline(delivery) == ""

    other.delete()
    tidy.later(7300)
    assert sent_items.look() == 1
    assert "was removed" in timeline(delivery)
    assert Mailbox.objects.get(pk=tidy.mailbox.pk).cooling == []


def test_a_copy_that_may_have_to_tell_of_another_mail_is_left_there(tidy):
    """They share their Message-ID, and the other one had no answer."""
    delivery, other = tidy.queue(2)
    same = {"message_id": delivery.message.message_id, "message_id_key": delivery.message.message_id}
    Message.objects.filter(pk=other.message_id).update(**same)
    tidy.work()
    SendLog.objects.filter(delivery=other).update(outcome=Outcome.UNCERTAIN)

    sent_items.look()
    assert len(copies(tidy)) == 2
    SendLog.objects.filter(delivery=other).update(outcome=Outcome.SENT)
    tidy.later(60)
    sent_items.look()

    assert "was removed" in timeline(delivery)


def test_what_could_not_be_looked_up_is_not_said_to_be_missing(tidy):
    delivery = tidy.one()
    tidy.work()
    tidy.sandbox.fault("folders", "status", status=503)

    tidy.later(7200)
    sent_items.look()
    assert timeline(delivery) == ""

    tidy.later(14400)
    sent_items.look()
    assert "was removed" in timeline(delivery)
