"""Mail that waits follows its sender to another mailbox; what only the old one can tell about does not."""

import pytest

from mailrelay.models import Delivery, Mailbox, Message, SenderConfig
from mailrelay.outbox.claiming import claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.operators import environment, registrations
from mailrelay.outbox.scheduling import scheduler
from mailrelay.vocabulary import FromPolicy, ManagedBy, Outcome, Reason, State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved():
    """Give a sender another mailbox; return the function that does it and the mailbox."""

    def move(sender, address="new@contoso.test", app=None):
        sender.mailbox = rows.mailbox(address, app)
        sender.save()
        registrations.follow_mailbox(sender)
        return sender.mailbox

    return move


@pytest.mark.parametrize("state", [State.QUEUED, State.DEFERRED, State.HELD, State.UNCERTAIN])
def test_what_waits_follows(moved, state):
    (delivery,) = rows.queue(rows.mailbox(), 1, state=state)
    new = moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == new


@pytest.mark.parametrize("state", [State.RESERVED, State.SENDING, State.SENT, State.FAILED, State.CANCELLED])
def test_what_is_in_hand_or_over_stays(moved, state):
    box = rows.mailbox()
    (delivery,) = rows.queue(box, 1, state=state)
    moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == box


@pytest.mark.parametrize("tells", ["sent_items", "draft"])
def test_uncertain_mail_stays_where_it_can_be_looked_up(moved, tells):
    box = rows.mailbox(can_read=tells == "sent_items")
    (delivery,) = rows.queue(box, 1, state=State.UNCERTAIN)
    if tells == "draft":
        attempt(delivery, 1, Outcome.UNCERTAIN, draft_id="AAMk")
    moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == box


@pytest.mark.parametrize("state", [State.QUEUED, State.DEFERRED, State.HELD, State.UNCERTAIN])
@pytest.mark.parametrize("tells", ["sent_items", "draft"])
def test_so_does_what_waits_for_something_else_since(moved, state, tells):
    box = rows.mailbox(can_read=tells == "sent_items")
    (delivery,) = rows.queue(box, 1, state=state)
    attempt(delivery, 1, Outcome.TRANSIENT)
    attempt(delivery, 2, Outcome.UNCERTAIN, draft_id="AAMk" if tells == "draft" else "")
    moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == box


@pytest.mark.parametrize("can_read", [True, None])
def test_what_certainly_was_not_sent_follows_whatever_came_before(moved, can_read):
    (delivery,) = rows.queue(rows.mailbox(can_read=can_read), 1)
    attempt(delivery, 1, Outcome.UNCERTAIN, draft_id="AAMk")
    attempt(delivery, 2, Outcome.TRANSIENT)
    new = moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == new


def attempt(delivery, number, outcome, **more):
    delivery.log.create(
        message=delivery.message, number=number, started_at=clock.now(), outcome=outcome, **more
    )


def of_own_mailbox(box, address):
    """Queue a mail that goes through the mailbox of its own From."""
    (delivery,) = rows.queue(box, 1)
    own, _ = Mailbox.objects.get_or_create(registration=box.registration, address=address)
    Message.objects.filter(pk=delivery.message_id).update(header_from=address.upper(), from_key=address)
    Delivery.objects.filter(pk=delivery.pk).update(mailbox=own)
    SenderConfig.objects.update(from_policy=FromPolicy.OWN_MAILBOX)
    delivery.refresh_from_db()
    return delivery


def test_mail_through_the_mailbox_of_its_own_from_does_not_follow(moved):
    delivery = of_own_mailbox(rows.mailbox(), "ada@contoso.test")
    before = delivery.mailbox
    moved(delivery.sender)
    delivery.refresh_from_db()
    assert delivery.mailbox == before


def test_but_it_follows_to_another_registration_under_its_own_address(moved):
    delivery = of_own_mailbox(rows.mailbox(), "ada@contoso.test")
    other = rows.registration("other")
    moved(delivery.sender, app=other)
    delivery.refresh_from_db()
    assert (delivery.mailbox.address, delivery.mailbox.registration) == ("ada@contoso.test", other)


def test_uncertain_mail_follows_a_changed_sender_email(settings):
    settings.AZURE_TENANT_ID, settings.AZURE_CLIENT_ID = "t", "c"
    settings.SENDER_EMAIL = "old@contoso.test"
    environment.upsert()
    sender = SenderConfig.objects.get(managed_by=ManagedBy.ENVIRONMENT)
    (delivery,) = rows.queue(sender.mailbox, 1, state=State.UNCERTAIN)

    settings.SENDER_EMAIL = "new@contoso.test"
    environment.upsert()

    delivery.refresh_from_db()
    assert delivery.mailbox.address == "new@contoso.test"


@pytest.mark.parametrize("state", [State.QUEUED, State.DEFERRED])
def test_mail_of_a_sender_that_was_switched_off_is_not_claimed_before_the_sweep_holds_it(state):
    rows.workers()
    (delivery,) = rows.queue(rows.mailbox(), 1, state=state, next_attempt_at=clock.now())
    SenderConfig.objects.update(active=False)

    scheduler.clockwork()
    assert claim.claim(delivery.mailbox_id) == []

    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (State.HELD, Reason.SENDER_INACTIVE)
