"""The sending of a draft without an answer: the draft tells, and no second copy is ever made."""

import pytest
from prometheus_client import REGISTRY

from mailrelay.models import SenderConfig, SendLog
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import counters
from mailrelay.vocabulary import Outcome, State, UncertainPolicy
from sandbox import world
from tests.delivery.office import count, fresh, log
from tests.large.mails import MEBIBYTE, with_files
from tests.large.test_faults import open_drafts
from tests.sandbox.graph_client import Graph

LATER = 601


def large():
    return with_files([4 * MEBIBYTE])


def attempts_that_sent(delivery) -> float:
    labels = {"sender": delivery.sender.name, "outcome": Outcome.SENT}
    return REGISTRY.get_sample_value("graph_smtp_attempts_total", labels) or 0.0


@pytest.mark.parametrize("kind", ["accept_then_status", "reset_after_accept", "accept_with_proxy_page"])
@pytest.mark.parametrize("policy", list(UncertainPolicy))
def test_a_draft_that_was_sent_says_so_at_once(writer, queued, kind, policy):
    SenderConfig.objects.update(uncertain_policy=policy)
    writer.sandbox.fault("send", kind)
    delivery = queued(large())

    writer.work()

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert delivery.copies == count(counters.SECOND_COPIES) == 0


@pytest.mark.parametrize("policy", list(UncertainPolicy))
def test_a_draft_that_was_not_sent_is_sent_later_without_a_second_upload(writer, queued, policy):
    SenderConfig.objects.update(uncertain_policy=policy)
    writer.sandbox.fault("send", "status", status=504)
    delivery = queued(large())
    counted = attempts_that_sent(delivery)

    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    uploads = len(writer.requests("upload"))
    writer.later(LATER)

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert len(writer.requests("upload")) == uploads
    assert delivery.copies == count(counters.SECOND_COPIES) == 0
    assert [entry.outcome for entry in log(delivery)] == [Outcome.UNCERTAIN, Outcome.SENT]
    assert attempts_that_sent(delivery) == counted + 1
    assert open_drafts(writer) == 0


def test_a_draft_on_its_way_is_waited_for(writer, queued):
    writer.sandbox.world(behaviour={"sent_items_delay": 3600})
    writer.sandbox.fault("send", "accept_then_status")
    delivery = queued(large())

    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    writer.later(LATER)
    assert fresh(delivery).state == State.UNCERTAIN
    assert len(writer.sandbox.deliveries()) == 1

    for _ in range(6):
        writer.later(LATER)
    assert fresh(delivery).state == State.HELD
    assert len(writer.sandbox.deliveries()) == 1


@pytest.mark.parametrize("policy", list(UncertainPolicy))
def test_a_whole_message_that_sent_items_shows_was_sent(writer, policy):
    SenderConfig.objects.update(uncertain_policy=policy)
    writer.sandbox.fault("sendMail", "accept_then_status")
    delivery = writer.one()

    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    writer.later(LATER)

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert delivery.copies == count(counters.SECOND_COPIES) == 0


@pytest.mark.parametrize(
    ("policy", "state", "copies"),
    [
        (UncertainPolicy.RESEND, State.SENT, 2),
        (UncertainPolicy.HOLD, State.HELD, 1),
        (UncertainPolicy.FAIL, State.FAILED, 1),
    ],
)
def test_a_whole_message_that_sent_items_does_not_show_follows_the_policy(writer, policy, state, copies):
    """As when Exchange has given it another Message-ID."""
    SenderConfig.objects.update(uncertain_policy=policy)
    writer.sandbox.world(behaviour={"rewrite_message_id": True})
    writer.sandbox.fault("sendMail", "accept_then_status")
    delivery = writer.one()

    writer.work()
    for _ in range(4):
        writer.later(LATER)

    assert fresh(delivery).state == state
    assert len(writer.sandbox.deliveries()) == copies


def test_drafts_left_behind_are_removed_and_sent_mail_never_is(writer, queued):
    from mailrelay.delivery import orphans

    writer.sandbox.fault("send", "status", status=504)
    delivery = queued(large())
    writer.work()
    assert open_drafts(writer) == 1
    writer.later(70)  # the mailbox rests no longer
    assert orphans.sweep() == 0  # it may still be sent
    type(delivery).objects.update(state=State.CANCELLED)

    assert orphans.sweep() == 1

    assert open_drafts(writer) == 0
    sent = queued(large())
    writer.later(70)
    SendLog.objects.filter(delivery=sent).update(outcome=Outcome.TRANSIENT)  # as if misjudged
    before = len(writer.requests("messages"))
    assert orphans.sweep() == 1
    asked = writer.requests("messages")[before:]
    assert [line["method"] for line in asked] == ["GET"]


def test_a_draft_that_an_earlier_request_sent_late_is_sent_and_its_copy_stays(writer, queued, monkeypatch):
    """Graph was at it all the time: the draft lay there when it was looked for, and left right after."""
    writer.sandbox.fault("send", "status", status=504)
    delivery = queued(large())
    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    (attempt,) = log(delivery)
    graph = Graph(writer.sandbox, world.SECOND_CLIENT, "sandbox-secret-2")
    begin = leases.begin

    def overtaken(*args, **options):
        assert (
            graph.call("POST", f"/users/gateway@contoso.test/messages/{attempt.draft_id}/send").status_code
            == 202
        )
        return begin(*args, **options)

    monkeypatch.setattr(leases, "begin", overtaken)
    writer.later(LATER)

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert [line for line in writer.requests("messages") if line["method"] == "DELETE"] == []
