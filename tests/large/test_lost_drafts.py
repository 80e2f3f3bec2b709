"""Drafts whose creation had no answer: found by their Message-ID and removed, and nobody else's with them."""

import base64
from datetime import timedelta

import pytest

from mailrelay.delivery import orphans
from mailrelay.models import AppRegistration, SendLog
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Outcome, State
from sandbox import world
from tests.delivery.office import fresh, log
from tests.harness.ports import eventually
from tests.harness.processes import send
from tests.large.mails import MEBIBYTE, with_files
from tests.large.test_faults import open_drafts
from tests.sandbox.graph_client import Graph

LOST = ["reset_after_accept", "accept_then_status", "accept_with_proxy_page"]


def large():
    return with_files([4 * MEBIBYTE])


def drafted_by_hand(office, message_id="<large-1@app.test>"):
    """Make a draft as a person does who works in the same mailbox; return its id."""
    graph = Graph(office.sandbox, world.SECOND_CLIENT, "sandbox-secret-2")
    mime = f"From: gateway@contoso.test\r\nTo: ann@example.org\r\nMessage-ID: {message_id}\r\n\r\nhi\r\n"
    return graph.call(
        "POST",
        "/users/gateway@contoso.test/messages",
        data=base64.b64encode(mime.encode()),
        headers={"Content-Type": "text/plain"},
    ).json()["id"]


def reachable_again():
    """Let Graph count as reachable, as after the next success through the same registration."""
    AppRegistration.objects.update(failing="", failing_since=None, retry_at=None)


@pytest.mark.parametrize("kind", LOST)
def test_a_draft_whose_creation_had_no_answer_is_found_and_removed(writer, queued, kind):
    writer.sandbox.fault("messages", kind)
    delivery = queued(large())

    writer.work()
    assert fresh(delivery).state in {State.QUEUED, State.DEFERRED}
    assert open_drafts(writer) == 1
    writer.later(60)

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert open_drafts(writer) == 1
    assert orphans.sweep() == 1
    assert open_drafts(writer) == 0
    assert not SendLog.objects.filter(draft_asked=True).exists()


def test_a_lost_json_draft_is_found_likewise(writer, queued):
    writer.sandbox.world(behaviour={"mime_drafts": False})
    writer.sandbox.fault("messages", "reset_after_accept", skip=1)
    delivery = queued(large())

    writer.work()
    assert fresh(delivery).state in {State.QUEUED, State.DEFERRED}
    assert open_drafts(writer) == 1
    reachable_again()

    assert orphans.sweep() == 1
    assert open_drafts(writer) == 0


def test_a_creation_that_graph_is_still_at_is_looked_for_again(writer, queued):
    writer.sandbox.fault("messages", "hang", seconds=0)
    queued(large())
    writer.work()
    reachable_again()

    assert orphans.sweep() == 0
    drafted_by_hand(writer)  # stands for the creation that comes through after all
    assert orphans.sweep() == 1

    assert open_drafts(writer) == 0


def test_what_was_never_made_is_looked_for_no_longer_than_need_be(writer, queued):
    writer.sandbox.fault("messages", "reset_before_body", times=None)
    delivery = queued(large())
    writer.work()
    type(delivery).objects.update(state=State.CANCELLED)
    reachable_again()
    assert orphans.sweep() == 0
    writer.later(601)

    assert orphans.sweep() == 1

    asked = len(writer.requests("folders"))
    assert orphans.sweep() == 0
    assert len(writer.requests("folders")) == asked


def test_a_refused_creation_is_not_looked_for(writer, queued):
    writer.sandbox.fault("messages", "status", status=403, code="ErrorAccessDenied", times=None)
    queued(large())

    writer.work()

    assert not SendLog.objects.filter(draft_asked=True).exists()


def test_drafts_that_were_there_before_and_those_of_others_stay(writer, queued):
    drafted_by_hand(writer)
    drafted_by_hand(writer, "<mine@people.test>")
    writer.sandbox.fault("messages", "reset_after_accept")
    queued(large())
    writer.work()
    reachable_again()
    SendLog.objects.update(started_at=clock.now() + timedelta(minutes=6))  # later than the first draft
    assert open_drafts(writer) == 3

    orphans.sweep()
    assert open_drafts(writer) == 3
    SendLog.objects.update(started_at=clock.now() - timedelta(minutes=1))
    orphans.sweep()

    assert open_drafts(writer) == 1


def test_the_draft_of_a_later_attempt_is_not_taken_for_the_lost_one(writer, queued):
    writer.sandbox.fault("messages", "reset_after_accept")
    writer.sandbox.fault("send", "status", status=504)
    delivery = queued(large())
    writer.work()
    writer.later(60)
    assert fresh(delivery).state == State.UNCERTAIN
    assert open_drafts(writer) == 2
    writer.later(70)  # the mailbox rests no longer
    reachable_again()

    assert orphans.sweep() == 1
    assert open_drafts(writer) == 1
    writer.later(601)

    assert fresh(delivery).state == State.SENT
    assert [entry.outcome for entry in log(delivery)] == [
        Outcome.TRANSIENT,
        Outcome.UNCERTAIN,
        Outcome.SENT,
    ]
    assert len(writer.sandbox.deliveries()) == 1


def test_nothing_is_removed_while_the_same_mail_is_in_a_worker_s_hands(writer, queued):
    writer.sandbox.fault("messages", "reset_after_accept")
    delivery = queued(large())
    writer.work()
    reachable_again()
    for state in (State.QUEUED, State.RESERVED, State.SENDING):
        type(delivery).objects.update(state=state)

    assert orphans.sweep() == 0
    assert open_drafts(writer) == 1
    type(delivery).objects.update(state=State.DEFERRED)

    assert orphans.sweep() == 1
    assert open_drafts(writer) == 0


def test_a_mailbox_that_cannot_be_asked_stands_before_no_other(writer, queued):
    writer.sandbox.fault("messages", "reset_after_accept")
    queued(large())
    writer.work()
    assert SendLog.objects.filter(draft_asked=True).exists()
    type(writer.mailbox).objects.update(blocked="mailbox_unknown")

    assert orphans.sweep() == 0
    assert len(writer.requests("folders")) == 0


def test_a_worker_killed_before_it_wrote_down_its_draft_leaves_none(able):
    able.environment |= {"LEASE_SECONDS": "3"}
    listener = able.listener()
    listener.start(FAILPOINT="draft.before:2")
    send(listener.smtp_port, large())
    listener.wait_until_killed()
    assert able.sandbox.stats()["drafts"] == 1

    listener.start()
    able.wait_for(sent=1)

    assert len(able.delivered()) == 1
    eventually(lambda: able.sandbox.stats()["drafts"] == 0, what="the lost draft being removed")
