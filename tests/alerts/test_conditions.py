"""What the database says is the matter."""

from datetime import timedelta

import pytest

from mailrelay.models import AppRegistration, Counter, Delivery, HourlyTotal, Mailbox, Worker
from mailrelay.notify import conditions
from mailrelay.outbox.db import counters
from mailrelay.outbox.keeping import hourly_totals
from mailrelay.vocabulary import Reason, State
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(now):
    return Worker.objects.create(name="one", queues="deliver", capacity=4, started_at=now, seen_at=now)


def found(now) -> dict[str, conditions.Finding]:
    return {one.key: one for one in conditions.look(now)}


def test_nothing_is_the_matter_with_a_gateway_that_works(worker, sender, now):
    make_message(sender, state=State.SENT)
    make_message(sender)
    assert found(now) == {}


def test_mail_that_waits_too_long_is(worker, sender, now, settings):
    make_message(sender)
    Delivery.objects.update(created_at=now - timedelta(seconds=settings.ALERT_BACKLOG_SECONDS + 60))
    (one,) = found(now).values()
    assert (one.key, one.senders) == ("backlog", frozenset({sender.pk}))
    assert "office" in one.text
    settings.ALERT_BACKLOG_SECONDS = 0
    assert found(now) == {}


@pytest.mark.parametrize(
    ("sent", "failed", "told"), [(30, 10, True), (41, 10, False), (0, 9, False), (0, 10, True)]
)
def test_a_share_of_failures_is(worker, sender, now, sent, failed, told):
    for name, total in ((counters.SENT, sent), (counters.FAILED, failed)):
        HourlyTotal.objects.create(hour=hourly_totals.hour_of(now), name=name, total=total)
        Counter.objects.create(process="", name=name, value=total)
    assert ("failures" in found(now)) == told


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (Mailbox, {"blocked": Reason.MAILBOX_UNKNOWN, "blocked_text": "It says why."}),
        (AppRegistration, {"failing": Reason.SECRET_WRONG, "failing_text": "It says why."}),
    ],
)
def test_a_sender_that_stands_still_is(worker, sender, now, model, columns):
    model.objects.update(**columns)
    (one,) = found(now).values()
    assert (one.subject, one.senders) == ("Sender office stands still", frozenset({sender.pk}))
    assert one.text.startswith("It says why.")


@pytest.mark.parametrize(("days", "level"), [(40, 0), (29, 1), (13, 2), (2, 3), (1, 4), (-2, 5)])
def test_a_secret_that_ends_is_and_the_more_the_nearer(worker, sender, now, days, level):
    AppRegistration.objects.update(secret_expires_on=(now + timedelta(days=days)).date())
    assert [one.level for one in found(now).values()] == ([level] if level else [])


def test_nobody_who_delivers_is(sender, worker, now):
    Worker.objects.update(seen_at=now - timedelta(minutes=1))
    assert set(found(now)) == {"no-worker"}


def test_a_secret_that_is_kept_beside_its_successor_is_not(worker, sender, now):
    ends = {"secret_expires_on": 3, "next_secret_expires_on": 700}
    columns = {name: (now + timedelta(days=days)).date() for name, days in ends.items()}
    AppRegistration.objects.update(next_secret="newer", secret_in_use="next_secret", **columns)
    assert found(now) == {}

    # Entra ID refuses the newer one: the older is what mail depends on.
    AppRegistration.objects.update(secret_in_use="secret")
    assert [one.level for one in found(now).values()] == [3]
