"""A fallback sender: it sends what another cannot, under its own policy, and gives it back when fixed."""

import pytest

from mailrelay.delivery import fallback
from mailrelay.models import Delivery, Mailbox, SenderConfig
from mailrelay.outbox.holding.configuration_holds import PROBE_INTERVAL
from mailrelay.outbox.operators import registrations
from mailrelay.vocabulary import FromPolicy, Outcome, Reason, Route, State
from sandbox.world import CLIENT, TENANT
from tests.delivery.office import fresh, timeline
from tests.outbox.rows import give

BROKEN = "blocked@contoso.test"


@pytest.fixture
def pair(office):
    """A sender whose mailbox is blocked, and the one that stands in for it."""
    box = office.box(BROKEN)
    sender, other = box.senders.get(), office.mailbox.senders.get()
    SenderConfig.objects.filter(pk=sender.pk).update(fallback=other)
    return fresh(sender), other


def held(office, sender, count=2):
    deliveries = office.queue(count, sender.mailbox)
    office.work()
    assert {fresh(row).state for row in deliveries} == {State.HELD}
    return deliveries


def fix(office):
    office.sandbox.world(mailboxes={BROKEN: {"tenant": TENANT, "state": "normal"}})


def raw(office):
    return [office.sandbox.raw(mail["seq"]).decode() for mail in office.sandbox.deliveries()]


def test_mail_of_a_held_sender_goes_through_its_fallback_under_that_ones_policy(office, pair):
    sender, other = pair
    deliveries = held(office, sender)

    assert fallback.look() == 2
    office.work()

    assert {fresh(row).state for row in deliveries} == {State.SENT}
    assert {mail["mailbox"] for mail in office.sandbox.deliveries()} == {other.mailbox.address}
    assert all(
        "From: <gateway@contoso.test>" in mail or "From: gateway@contoso.test" in mail for mail in raw(office)
    )
    assert all("Reply-To: app@contoso.test" in mail for mail in raw(office))
    told = timeline(deliveries[0])
    assert other.name in told and sender.name in told and "blocked" in told


def test_without_a_fallback_it_stays(office, pair):
    sender, _ = pair
    SenderConfig.objects.update(fallback=None)
    held(office, sender)

    assert fallback.look() == 0


def test_what_waits_comes_back_when_the_mailbox_is_mended(office, pair):
    sender, other = pair
    Mailbox.objects.filter(pk=other.mailbox_id).update(concurrency=1)
    deliveries = held(office, sender, 3)
    assert fallback.look() == 3
    assert {fresh(row).lent_by for row in deliveries} == {sender}

    fix(office)
    Mailbox.objects.filter(pk=sender.mailbox_id).update(blocked=Reason.NONE)
    assert fallback.look() == 3

    assert {(fresh(row).sender, row.lent_by, row.mailbox) for row in deliveries} == {
        (sender, None, sender.mailbox)
    }
    office.work()
    assert {fresh(row).state for row in deliveries} == {State.SENT}
    assert "sends its own mail again" in timeline(deliveries[0])


def test_one_mail_that_waits_there_tries_whether_its_own_mailbox_is_mended(office, pair):
    sender, other = pair
    deliveries = held(office, sender, 3)
    Mailbox.objects.filter(pk=other.mailbox_id).update(paused_until="2100-01-01T00:00:00Z")
    fallback.look()
    assert fallback.look() == 0
    fix(office)

    office.later(PROBE_INTERVAL + 1)
    assert fallback.look() == 1
    office.work()
    fallback.look()
    office.work()

    assert {fresh(row).state for row in deliveries} == {State.SENT}
    assert {mail["mailbox"] for mail in office.sandbox.deliveries()} == {BROKEN}


def test_a_probe_that_fails_goes_to_the_fallback_again(office, pair):
    sender, other = pair
    (delivery,) = held(office, sender, 1)
    Mailbox.objects.filter(pk=other.mailbox_id).update(paused_until="2100-01-01T00:00:00Z")
    fallback.look()

    office.later(PROBE_INTERVAL + 1)
    fallback.look()
    assert fresh(delivery).sender == sender
    office.work()
    assert fresh(delivery).state == State.HELD
    fallback.look()

    assert (fresh(delivery).sender, delivery.state) == (other, State.QUEUED)


def test_mail_that_may_have_been_sent_never_moves(office, pair):
    sender, _ = pair
    certain, uncertain = held(office, sender)
    attempt = uncertain.log.create(
        message=uncertain.message, number=90, outcome=Outcome.UNCERTAIN, started_at=uncertain.created_at
    )

    assert fallback.look() == 1

    assert (fresh(certain).lent_by, fresh(uncertain).lent_by) == (sender, None)
    assert uncertain.state == State.HELD
    attempt.delete()
    assert fallback.look() == 1


@pytest.mark.parametrize(
    "unfit",
    [
        {"from_policy": FromPolicy.REQUIRE},
        {"active": False},
        {"paused_at": "2026-01-01T00:00:00Z"},
        {"redirect_all_to": "test@contoso.test"},
    ],
)
def test_what_the_fallback_would_refuse_stays(office, pair, unfit):
    sender, other = pair
    SenderConfig.objects.filter(pk=other.pk).update(**unfit)
    (delivery,) = held(office, sender, 1)

    assert fallback.look() == 0
    assert fresh(delivery).state == State.HELD


def test_signed_mail_stays_where_its_from_would_have_to_be_rewritten(office, pair):
    sender, _ = pair
    (delivery,) = held(office, sender, 1)
    header = b"From: app@contoso.test\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n"
    signed = header + b"--s\r\n\r\nx\r\n--s--\r\n"
    give(delivery, signed)

    assert fallback.look() == 0


@pytest.mark.parametrize(("policy", "moved"), [(FromPolicy.SEND_AS, 0), (FromPolicy.REWRITE, 1)])
def test_mail_stays_where_the_fallback_would_show_a_sender_that_its_own_drops(office, pair, policy, moved):
    """The client's list was not held against what nobody would have seen."""
    sender, other = pair
    (delivery,) = held(office, sender, 1)
    SenderConfig.objects.filter(pk=other.pk).update(from_policy=policy)
    give(delivery, b"From: app@contoso.test\r\nSender: boss@contoso.test\r\n\r\nx\r\n")

    assert fallback.look() == moved


def test_large_mail_stays_where_the_fallback_sends_none(office, pair):
    sender, other = pair
    (delivery,) = held(office, sender, 1)
    Delivery.objects.filter(pk=delivery.pk).update(route=Route.LARGE)
    assert fallback.look() == 0

    Mailbox.objects.filter(pk=other.mailbox_id).update(can_draft=True)
    assert fallback.look() == 1


def test_where_the_fallback_is_held_too_the_next_in_the_chain_sends(office, pair):
    sender, other = pair
    third = office.box("shared@contoso.test").senders.get()
    SenderConfig.objects.filter(pk=other.pk).update(fallback=third)
    Mailbox.objects.filter(pk=other.mailbox_id).update(blocked=Reason.MAILBOX_BLOCKED)
    (delivery,) = held(office, sender, 1)

    assert fallback.look() == 1
    assert fresh(delivery).sender == third


def test_what_was_lent_goes_on_to_the_next_when_the_fallback_breaks_as_well(office, pair):
    sender, other = pair
    third = office.box("shared@contoso.test").senders.get()
    SenderConfig.objects.filter(pk=other.pk).update(fallback=third)
    (delivery,) = held(office, sender, 1)
    fallback.look()
    Mailbox.objects.filter(pk=other.mailbox_id).update(blocked=Reason.MAILBOX_BLOCKED)

    assert fallback.look() == 1

    assert (fresh(delivery).sender, delivery.lent_by) == (third, sender)


@pytest.mark.parametrize("rest", [{"active": False}, {"paused_at": "2026-01-01T00:00:00Z"}])
def test_mail_of_a_sender_that_a_person_stops_comes_back_and_waits(office, pair, rest):
    sender, other = pair
    Mailbox.objects.filter(pk=other.mailbox_id).update(paused_until="2100-01-01T00:00:00Z")
    (delivery,) = held(office, sender, 1)
    assert fallback.look() == 1
    SenderConfig.objects.filter(pk=sender.pk).update(**rest)

    assert fallback.look() == 1
    office.work()

    assert (fresh(delivery).sender, delivery.state, fallback.look()) == (sender, State.HELD, 0)


def test_a_registration_with_a_wrong_secret_has_its_mail_sent_through_another(office):
    broken = office.box("shared@contoso.test", office.app("broken", CLIENT, "not-it"))
    sender = broken.senders.get()
    SenderConfig.objects.filter(pk=sender.pk).update(fallback=office.mailbox.senders.get())
    deliveries = held(office, sender)

    assert fallback.look() == 2
    office.work()

    assert {fresh(row).state for row in deliveries} == {State.SENT}
    registrations.replace_secret(broken.registration, "sandbox-secret")
    (later,) = office.queue(1, broken)
    office.work()
    assert (fresh(later).state, later.mailbox) == (State.SENT, broken)
