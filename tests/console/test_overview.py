"""The first page: its numbers are those of SQL, and each leads to the list behind it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from mailrelay.console import overview
from mailrelay.models import AppRegistration, HourlyTotal, Mailbox, Message, Worker
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.keeping import hourly_totals
from mailrelay.vocabulary import Reason, State
from tests.console.rows import make_message, make_sender

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/"


def numbers(page) -> dict[str, tuple[str, str]]:
    """Read the title of each number, its value, and where it leads."""
    return {one.title: (one.value, one.link) for one in page.context["overview"]["numbers"]}


@pytest.fixture
def clock_hand(monkeypatch, now):
    """Set the time of the queue, which begins at half past an hour."""
    start = hourly_totals.hour_of(now) + timedelta(minutes=30)

    def move(**ahead):
        monkeypatch.setattr(clock, "now", lambda: start + timedelta(**ahead))
        return start + timedelta(**ahead)

    move()
    return move


def sent_by_the_hour() -> dict[object, int]:
    hours: dict[object, int] = {}
    for at in Message.objects.filter(state=State.SENT).values_list("state_at", flat=True):
        hours[hourly_totals.hour_of(at)] = hours.get(hourly_totals.hour_of(at), 0) + 1
    return hours


def send(sender, count):
    """Store messages that were sent now, counted as settling one counts it."""
    for _ in range(count):
        make_message(sender, state=State.SENT, state_at=clock.now())
    write(Move.SETTLE, lambda: counters.add(counters.SENT, count))


def test_the_roll_ups_are_what_sql_counts(sender, clock_hand):
    for hour, count in ((0, 3), (1, 0), (2, 5), (7, 2), (24, 4)):
        clock_hand(hours=hour)
        if count:
            send(sender, count)
        hourly_totals.keep()
        hourly_totals.keep()
    counted = {at: count for at, count in hourly_totals.hourly(48)[counters.SENT] if count}
    assert counted == sent_by_the_hour()
    assert sorted(counted.values()) == [2, 3, 4, 5]


def test_what_was_sent_before_the_oldest_hour_shown_is_not_in_it(sender, clock_hand):
    send(sender, 3)
    hourly_totals.keep()
    clock_hand(hours=30)
    send(sender, 2)
    hourly_totals.keep()
    assert [count for _, count in hourly_totals.hourly(24)[counters.SENT] if count] == [2]


def test_roll_ups_write_nothing_when_nothing_has_changed(sender, clock_hand):
    send(sender, 1)
    hourly_totals.keep()
    with CaptureQueriesContext(connection) as queries:
        hourly_totals.keep()
    assert [query["sql"] for query in queries if not query["sql"].startswith("SELECT")] == []


def test_roll_ups_go_when_no_page_shows_them_any_more(sender, clock_hand):
    for hour in (0, 1, 2):
        clock_hand(hours=hour)
        send(sender, 1)
        hourly_totals.keep()
    clock_hand(days=33)
    hourly_totals.keep()
    old = HourlyTotal.objects.filter(hour__lt=clock.now() - hourly_totals.KEPT_FOR)
    assert dict(old.values_list("name", "total"))[counters.SENT] == 3
    assert old.filter(name=counters.SENT).count() == 1
    assert hourly_totals.hourly(24)[counters.SENT][-1][1] == 0


def test_every_number_is_what_sql_counts_and_leads_to_the_list_behind_it(browser, sender):
    for state, count in ((State.QUEUED, 3), (State.HELD, 2), (State.DEFERRED, 1), (State.FAILED, 4)):
        for _ in range(count):
            make_message(sender, state=state)
    make_message(sender, state=State.FAILED, created_at=clock.now() - timedelta(days=2))
    shown = numbers(browser.get(PAGE))
    assert {title: value for title, (value, _) in shown.items() if title != "Oldest due"} == {
        "Held": "2",
        "Unconfirmed": "0",
        "Deferred": "1",
        "Queued": "3",
        "Failed, of the last 24 h": "4",
    }
    for title, (value, link) in shown.items():
        if title != "Oldest due":
            assert browser.get(link).context["cl"].result_count == int(value), title


def test_the_oldest_that_is_due_tells_its_age(browser, sender):
    message = make_message(sender)
    message.deliveries.update(created_at=clock.now() - timedelta(hours=2, seconds=10))
    value, link = numbers(browser.get(PAGE))["Oldest due"]
    assert value.startswith("2 h")
    assert link.endswith("?state=queued")


def test_a_sender_shows_its_use_and_why_it_stands_still(browser, sender, now):
    make_message(sender, state=State.SENDING)
    stamp = int(now.timestamp())
    Mailbox.objects.update(recipient_window=[[stamp - 7200, 40], [stamp, 2]], recipients_per_day=100)
    text = browser.get(PAGE).content.decode()
    assert "1 of 4" in text
    assert "42 of 100" in text
    Mailbox.objects.update(blocked=Reason.MAILBOX_UNKNOWN, blocked_text="<b>No such mailbox.</b>")
    text = browser.get(PAGE).content.decode()
    assert escape("<b>No such mailbox.</b>") in text
    assert "<b>No such mailbox.</b>" not in text


def test_what_ends_is_shown_by_days_left_the_nearest_first(browser, registration, now):
    AppRegistration.objects.update(secret_expires_on=(now + timedelta(days=5)).date())
    AppRegistration.objects.create(name="old", secret_expires_on=(now - timedelta(days=1)).date())
    endings = browser.get(PAGE).context["overview"]["endings"]
    assert [fact.name for fact in endings] == ["old", "contoso"]
    assert "expired" in endings[0].badge
    assert "4 days left" in endings[1].badge


def test_workers_that_fell_silent_are_not_seen(browser, now):
    Worker.objects.create(
        name="a", queues="deliver", capacity=8, started_at=now, seen_at=now - timedelta(minutes=5)
    )
    assert "none seen" in browser.get(PAGE).content.decode()
    Worker.objects.update(seen_at=now)
    assert "1 alive" in browser.get(PAGE).content.decode()


def test_a_broker_that_does_not_answer_is_said(browser, settings, monkeypatch):
    from mailrelay.console import overview

    settings.CELERY_BROKER_URL = "amqp://localhost:1//"
    monkeypatch.setattr(overview, "_broker", (0.0, False))
    monkeypatch.setattr(overview, "_broker_answers", lambda: False)
    assert "It cannot be reached" in browser.get(PAGE).content.decode()


def test_the_charts_need_neither_script_nor_inline_style(browser, sender, clock_hand):
    send(sender, 3)
    hourly_totals.keep()
    HourlyTotal.objects.update(total=F("total") + 1_234_564)
    text = browser.get(PAGE).content.decode()
    assert text.count('<svg class="chart"') == 2
    assert re.search(r"By the hour: 1,\d{3},\d{3} sent", text)
    assert re.search(r"<title>[^<]* 1,\d{3},\d{3} sent", text)
    assert re.search(r"</i>1,\d{3},\d{3} sent", text)
    assert re.search(r"<(?:svg|rect|g|i)[^>]* style=", text) is None


def test_who_may_see_no_messages_sees_no_figures(django_user_model, client):
    client.force_login(django_user_model.objects.create(username="staff", is_staff=True))
    assert client.get(PAGE).context["overview"] is None


def test_the_page_costs_the_same_with_one_sender_and_with_many(browser, registration):
    def costs():
        with CaptureQueriesContext(connection) as queries:
            browser.get(PAGE)
        return len(queries)

    make_sender(registration)
    one = costs()
    for number in range(5):
        make_sender(registration, f"s{number}", f"s{number}@x.test")
    assert costs() == one


def test_each_figure_of_a_sender_leads_to_what_is_behind_it(browser, sender, now):
    Mailbox.objects.update(
        succeeded_at=now, failures=1, pause_text="Too many requests.", paused_until=now + timedelta(minutes=3)
    )
    shown = browser.get("/admin/").content.decode()
    work, box = f"/admin/mailrelay/senderconfig/{sender.pk}/at-work/", f"mailbox/{sender.mailbox_id}/change/"
    listed = f"/admin/mailrelay/message/?state={{}}&amp;sender={sender.pk}"
    for link, text in (
        (work, "office"),
        (f"{work}#limits", "0 of 10,000"),
        (listed.format("queued"), "0 of 4"),
        (listed.format("sent"), "<time"),
        (f"/admin/mailrelay/{box}", "resumes in"),
        (f"/admin/mailrelay/{box}", "Too many requests."),
    ):
        assert f'<a href="{link}">{text}' in shown, (link, text)


@pytest.mark.parametrize("hour", [0, 12, 23])
def test_thirty_days_are_thirty_bars(hour):
    last = datetime(2027, 3, 31, hour, tzinfo=UTC)
    days = overview._daily([(last - timedelta(hours=number), 1) for number in reversed(range(720))])
    assert [day.day for day, _ in days[-2:]] == [30, 31]
    assert len(days) == 30
    assert [value for _, value in days] == [24] * 29 + [hour + 1]


def test_a_secret_that_its_successor_replaced_is_not_among_what_ends(browser, sender, now):
    soon, late = (now + timedelta(days=days) for days in (3, 700))
    columns = {"secret_expires_on": soon.date(), "next_secret_expires_on": late.date()}
    AppRegistration.objects.update(next_secret="newer", secret_in_use="next_secret", **columns)
    shown = browser.get("/admin/").content.decode()
    assert f"until {late:%d %b %Y}" in shown and f"until {soon:%d %b %Y}" not in shown
