"""The age of mail: only time in which it could have been tried counts, whatever the clock says."""

from datetime import datetime, timedelta

import pytest
from django.apps import apps
from django.db import models

from mailrelay.models import (
    Alert,
    AppRegistration,
    Delivery,
    HourlyTotal,
    Inbox,
    Lease,
    Mailbox,
    Message,
    Refusal,
    SubmissionKey,
    Worker,
    WorkingTime,
)
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.keeping import hourly_totals
from mailrelay.outbox.rules import age, clock_set_back
from mailrelay.outbox.scheduling import retention, sweep
from mailrelay.outbox.settling import reports
from mailrelay.vocabulary import Condition, Reason, State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Clock:
    """A clock that a test sets, and a worker that gives signs of life by it."""

    def __init__(self, monkeypatch) -> None:
        self.now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: self.now)
        monkeypatch.setattr(clock, "ask", lambda: self.now)

    def beat(self) -> None:
        capacity.beat("worker", ("deliver",), 4)

    def set(self, by: timedelta) -> None:
        """Set the clock, as NTP does or a person."""
        self.now += by

    def run(self, span: timedelta, every: timedelta = 30 * SECOND) -> None:
        """Let time pass with a living worker, up to `span` from now."""
        self.beat()
        end = self.now + span
        while self.now < end:
            self.now = min(end, self.now + every)
            self.beat()


@pytest.fixture
def time(monkeypatch):
    return Clock(monkeypatch)


def swept() -> None:
    while sweep.run():
        pass


def fresh(row):
    row.refresh_from_db()
    return row


@pytest.mark.parametrize("by", [6 * DAY, 400 * DAY, -6 * DAY, -400 * DAY])
def test_no_mail_ages_by_a_clock_that_is_set(time, by):
    time.run(MINUTE)
    mail = rows.queue(rows.mailbox(), 1)[0]
    rows.attempt(mail, time.now)
    time.run(MINUTE)

    time.set(by)
    for _ in range(3):
        swept()
        time.run(MINUTE)
    swept()

    assert fresh(mail).state == State.QUEUED
    assert age.of(mail.aged_from) <= 10 * MINUTE


def test_mail_that_was_tried_is_too_old_when_its_time_is_over_though_the_clock_was_set(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    time.run(MINUTE)
    mail = rows.queue(rows.mailbox(), 1)[0]
    rows.attempt(mail, time.now)
    for by in (6 * DAY, -3 * DAY, 2 * DAY):
        time.set(by)
        time.run(14 * MINUTE)
        swept()
    assert fresh(mail).state == State.QUEUED

    time.run(50 * MINUTE)
    swept()

    assert (fresh(mail).state, mail.reason) == (State.FAILED, Reason.TOO_OLD)


@pytest.mark.parametrize("away", [HOUR, 6 * DAY])
def test_time_without_a_worker_is_not_age(time, settings, away):
    settings.DELIVERY_MAX_AGE = 3600
    time.run(MINUTE)
    mail = rows.queue(rows.mailbox(), 1)[0]
    rows.attempt(mail, time.now)

    for _ in range(3):
        time.run(10 * MINUTE)
        time.set(away)
        swept()

    assert fresh(mail).state == State.QUEUED
    assert age.of(mail.aged_from) <= 34 * MINUTE


def test_what_was_never_tried_does_not_end_as_too_old_and_hides_nothing_behind_it(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    box = rows.mailbox()
    untried = rows.queue(box, sweep.BATCH + 1)
    late = rows.queue(box, 1)[0]
    tried = rows.queue(box, 1)[0]
    time.run(HOUR)
    rows.attempt(tried, time.now - 30 * MINUTE)
    rows.attempt(late, time.now - MINUTE)
    time.run(MINUTE)

    swept()

    assert fresh(tried).reason == Reason.TOO_OLD
    assert fresh(late).state == State.QUEUED
    assert set(
        Delivery.objects.filter(pk__in=[row.pk for row in untried]).values_list("state", flat=True)
    ) == {State.QUEUED}
    time.run(15 * MINUTE)
    swept()
    assert fresh(late).reason == Reason.TOO_OLD


def test_attempts_before_a_release_count_for_nothing_after_it(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    mail = rows.queue(rows.mailbox(), 1)[0]
    rows.attempt(mail, time.now)
    time.run(30 * MINUTE)
    Delivery.objects.update(released_at=time.now)
    time.run(2 * HOUR)

    swept()

    assert fresh(mail).state == State.QUEUED


def test_what_waits_behind_microsoft_being_out_of_reach_ends_since_one_is_tried_for_all(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    box = rows.mailbox()
    mail = rows.queue(box, 1)[0]
    time.run(40 * MINUTE)
    AppRegistration.objects.update(failing=Reason.UNREACHABLE, failing_since=time.now)
    time.run(21 * MINUTE)

    swept()

    assert fresh(mail).reason == Reason.TOO_OLD


def test_what_a_clock_ahead_left_in_the_future_moves_back_with_it(time):
    box = rows.mailbox()
    right, ahead = rows.queue(box, 2, state=State.DEFERRED)
    held_by_dead = rows.queue(box, 1, state=State.SENDING)[0]
    time.run(MINUTE)
    Delivery.objects.filter(pk=right.pk).update(next_attempt_at=time.now + HOUR)
    true_time = time.now
    time.set(10 * DAY)
    time.beat()
    Delivery.objects.filter(pk=ahead.pk).update(next_attempt_at=time.now + 5 * MINUTE)
    Delivery.objects.filter(pk=held_by_dead.pk).update(leased_until=time.now + MINUTE)
    Mailbox.objects.update(
        paused_until=time.now + HOUR,
        wake_at=time.now + HOUR,
        probe_at=time.now + MINUTE,
        blocked_since=time.now,
    )
    AppRegistration.objects.update(retry_at=time.now + 30 * SECOND, failing_since=time.now)
    Lease.objects.create(name="alerts", holder="dead", until=time.now + MINUTE)
    Worker.objects.create(name="dead", queues="deliver", capacity=4, started_at=time.now, seen_at=time.now)
    Inbox.objects.create(mailbox=box, looked_at=time.now, read_until=time.now)

    time.set(-10 * DAY + 25 * SECOND)
    time.beat()

    soon = true_time + 2 * MINUTE
    assert fresh(right).next_attempt_at == true_time + HOUR
    assert fresh(ahead).next_attempt_at <= true_time + 6 * MINUTE
    assert fresh(held_by_dead).leased_until <= soon
    assert fresh(box).paused_until <= true_time + HOUR + MINUTE
    assert box.wake_at == box.paused_until
    assert max(box.probe_at, box.registration.retry_at or soon, Lease.objects.get().until) <= soon
    app = AppRegistration.objects.get()
    assert app.retry_at <= soon
    inbox = Inbox.objects.get()
    seen = Worker.objects.get(name="dead").seen_at
    assert max(box.blocked_since, app.failing_since, inbox.looked_at, inbox.read_until, seen) <= time.now


def test_mail_of_the_future_begins_to_age_when_the_clock_is_right(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    time.run(MINUTE)
    time.set(10 * DAY)
    time.beat()
    mail = rows.queue(rows.mailbox(), 1)[0]
    time.set(-10 * DAY)
    time.beat()
    swept()
    rows.attempt(mail, time.now)

    time.run(50 * MINUTE)
    swept()
    assert fresh(mail).state == State.QUEUED
    time.run(12 * MINUTE)
    swept()
    assert fresh(mail).reason == Reason.TOO_OLD


def test_another_process_that_still_has_the_old_time_ends_nothing(time, settings):
    settings.DELIVERY_MAX_AGE = 3600
    time.run(MINUTE)
    mail = rows.queue(rows.mailbox(), 1, state=State.DEFERRED)[0]
    rows.attempt(mail, time.now)
    Delivery.objects.update(next_attempt_at=time.now + HOUR)
    due = fresh(mail).next_attempt_at
    for _ in range(4):
        time.set(10 * DAY)
        swept()
        time.beat()
        time.set(-10 * DAY)
        time.beat()
        swept()

    assert (fresh(mail).state, mail.next_attempt_at) == (State.DEFERRED, due)
    assert age.of(mail.aged_from) <= MINUTE


def test_a_clock_ahead_for_a_moment_removes_nothing(time, settings):
    time.run(MINUTE)
    box = rows.mailbox()
    held = rows.queue(box, 1, state=State.HELD, reason=Reason.BY_HAND)[0]
    sent = rows.queue(box, 1, state=State.SENT)[0]
    for row in (held, sent):
        Message.objects.filter(pk=row.message_id).update(state=row.state)
    SubmissionKey.objects.create(digest="a", fingerprint="b", message_id=sent.message_id, created_at=time.now)
    Refusal.objects.create(address="192.0.2.1", rule="r", first_at=time.now, last_at=time.now)
    HourlyTotal.objects.create(hour=hourly_totals.hour_of(time.now - HOUR), name=counters.SENT, total=1)
    HourlyTotal.objects.create(hour=hourly_totals.hour_of(time.now - 2 * HOUR), name=counters.SENT, total=1)

    time.set(4000 * DAY)
    for _ in range(2):
        retention.run()
        swept()
        time.beat()

    assert fresh(held).state == State.HELD
    assert not Message.objects.filter(content_removed_at__isnull=False).exists()
    assert Message.objects.count() == 2
    assert reports.waiting(None) == []
    assert Refusal.objects.exists()
    assert HourlyTotal.objects.filter(hour__lt=time.now - DAY).count() == 2


def test_a_worker_that_starts_again_and_again_leaves_a_list_that_stays_short(time, monkeypatch):
    monkeypatch.setattr(age, "MOST_GAPS", 10)
    begun = time.now
    for _ in range(40):
        time.run(MINUTE)
        time.set(5 * MINUTE)
    time.beat()

    assert len(WorkingTime.objects.get().gaps) == 10
    assert 9 * MINUTE <= age.of(begun) <= 40 * MINUTE
    for wait in (MINUTE, 5 * MINUTE, 8 * MINUTE):
        assert abs(age.of(age.ago(wait)) - wait) <= SECOND


def test_a_beat_of_a_worker_writes_one_row_of_it_and_keeps_no_history():
    for _ in range(5):
        write(Move.REGISTER, lambda: age.note(clock.now()))
    assert WorkingTime.objects.get().gaps == []


#: Times that are a record, and decide nothing, or are compared with other records alone.
RECORDS = {
    "Message": {"created_at", "state_at", "content_removed_at"},
    "Delivery": {"created_at", "released_at", "bounced_at", "delay_warned_at"},
    "SendLog": {"started_at", "finished_at"},
    "TimelineEntry": {"at"},
    "ContentChunk": {"created_at"},
    "NonDelivery": {"received_at"},
    "AuditEvent": {"at"},
    "HourlyTotal": {"hour"},
    "SubmissionKey": {"created_at"},
    "ApiToken": {"created_at", "expires_at"},
    "SecondFactor": {"confirmed_at"},
    "SenderConfig": {"paused_at"},
    "Worker": {"started_at"},
    "WorkingTime": {"noted_at"},
    "Alert": {"ended_at"},
    "AlertChannel": {"told_at"},
    "Refusal": {"first_at"},
    "LoginBucket": {"filled_at"},  # a bucket from the future fills no faster, and is set at each try
    "Mailbox": {"tokens_at"},  # `limits.refill` has its own rule
    "AppRegistration": {
        "certificate_expires_at",
        "next_certificate_expires_at",
        "token_expires_at",
        "token_succeeded_at",
        "token_failed_at",
    },
}


def test_of_every_time_that_is_stored_it_is_said_what_a_clock_that_is_set_back_does_to_it():
    stored = {
        (model.__name__, field.name)
        for model in apps.get_app_config("mailrelay").get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.DateTimeField)
    }
    moved = {(model.__name__, column) for model, column, *_ in (*clock_set_back.DUE, *clock_set_back.PAST)}
    records = {(name, column) for name, columns in RECORDS.items() for column in columns}

    assert not moved & records
    assert moved | records == stored


def test_an_alert_of_the_future_ends_and_is_told_as_one_of_the_present(time):
    time.run(MINUTE)
    time.set(10 * DAY)
    time.beat()
    Alert.objects.create(key="x", condition=Condition.HELD, subject="s", began_at=time.now, seen_at=time.now)

    time.set(-10 * DAY)
    time.beat()

    assert isinstance(Alert.objects.get().seen_at, datetime)
    assert Alert.objects.get().seen_at <= time.now
