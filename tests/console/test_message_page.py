"""The page of one message: what it says, what it costs, and what nobody can do there."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.cli import message_details
from mailrelay.models import Mailbox, Message, SmtpClient, TimelineEntry, Worker
from mailrelay.outbox.keeping import content
from mailrelay.vocabulary import Outcome, Reason, Report, State
from tests.console.rows import make_attempt, make_message

pytestmark = pytest.mark.django_db
LIST = "/admin/mailrelay/message/"
SECRET_COLUMN = re.compile(r'"(secret|next_secret|certificate|certificate_password)"')


def page(browser, message) -> str:
    answer = browser.get(f"{LIST}{message.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def headline(text: str) -> str:
    return text.partition('class="panel headline"')[2].partition("</header>")[0]


@pytest.fixture
def worker(now):
    return Worker.objects.create(
        name="w", queues="deliver,deliver-environment", capacity=4, started_at=now, seen_at=now
    )


def test_the_timeline_tells_all_that_happened_in_order(browser, sender, now):
    message = make_message(sender, state=State.SENT)
    make_attempt(
        message,
        1,
        outcome=Outcome.TRANSIENT,
        finished_at=now,
        http_status=429,
        graph_code="ApplicationThrottled",
        request_id="req-1",
        client_request_id="client-1",
        retry_after=20.0,
        duration_ms=321,
        sentence="Graph asked for a pause.",
        advice="Wait.",
    )
    make_attempt(message, 3, outcome=Outcome.SENT, http_status=202, sentence="Graph took it.")
    TimelineEntry.objects.create(
        message=message, at=message.created_at + timedelta(seconds=2), actor="root", text="Released by root."
    )
    text = page(browser, message)
    order = ["Accepted", "Graph asked for a pause.", "Released by root.", "Graph took it."]
    places = [text.index(what, text.index('class="timeline"')) for what in order]
    assert places == sorted(places)
    for fact in ("429", "ApplicationThrottled", "req-1", "client-1", "20 s", "321 ms", "Wait."):
        assert fact in text, fact


@pytest.mark.parametrize(
    ("state", "delivery", "says"),
    [
        (State.QUEUED, {}, "It waits its turn"),
        (State.SENDING, {"lease_owner": "host:1"}, "host:1 is sending it now"),
        (State.DEFERRED, {"last_error": "Greylisted."}, "It will be tried again. Next try:"),
        (State.SENT, {}, "Microsoft accepted it"),
        (State.FAILED, {"reason": Reason.REJECTED, "last_error": "No such user."}, "No such user."),
        (State.HELD, {"reason": Reason.BY_HAND}, "until a person releases"),
        (
            State.HELD,
            {"reason": Reason.CONSENT_MISSING, "last_error": "Grant it."},
            "It is then sent automatically.",
        ),
        (
            State.UNCERTAIN,
            {"reason": Reason.UNCERTAIN},
            "It is sent once more, unless an answer still comes.",
        ),
        (State.CANCELLED, {}, "Cancelled before it was sent"),
    ],
)
def test_every_state_says_what_happens_next(browser, sender, worker, now, state, delivery, says):
    if state in {State.DEFERRED, State.UNCERTAIN}:
        delivery = delivery | {"next_attempt_at": now + timedelta(minutes=3)}
    text = headline(page(browser, make_message(sender, state=state, delivery=delivery)))
    assert says in text
    if state in {State.DEFERRED, State.UNCERTAIN}:
        assert "(in 2 min" in text or "(in 3 min" in text


def test_queued_mail_names_what_stands_in_its_way(browser, sender, now):
    message = make_message(sender)
    assert "none that serves the queue deliver is running" in headline(page(browser, message))
    Mailbox.objects.update(paused_until=now + timedelta(minutes=5), pause_text="Microsoft asked for it.")
    assert "is paused. Resumes:" in headline(page(browser, message))
    assert "Microsoft asked for it." in headline(page(browser, message))
    registration = sender.mailbox.registration
    registration.failing, registration.failing_text = Reason.SECRET_EXPIRED, "The secret expired."
    registration.save()
    assert "The secret expired." in headline(page(browser, message))


def test_it_says_how_long_the_content_is_kept_and_when_it_was_removed(browser, sender, now, settings):
    settings.RETENTION_SENT_HOURS = 2
    message = make_message(sender, state=State.SENT)
    assert "The content is kept until" in page(browser, message)
    assert "(in 1 h 59 min)" in page(browser, message) or "(in 2 h)" in page(browser, message)
    Message.objects.update(content_removed_at=now)
    text = page(browser, message)
    assert "The content was removed" in text
    assert "Download" not in text


def test_stored_texts_are_escaped_on_the_page(browser, sender):
    evil = "<script>alert('x')</script>"
    message = make_message(
        sender,
        state=State.FAILED,
        subject=evil,
        mail_from=evil,
        header_from=evil,
        client_name=evil,
        message_id=evil,
        recipients=(evil,),
        delivery={"last_error": evil, "lease_owner": evil},
    )
    make_attempt(
        message,
        outcome=Outcome.PERMANENT,
        sentence=evil,
        advice=evil,
        reply=evil,
        graph_code=evil,
        request_id=evil,
        worker=evil,
    )
    TimelineEntry.objects.create(message=message, at=message.created_at, actor=evil, text=evil)
    text = page(browser, message)
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") >= 15
    confirm = browser.get(f"{LIST}{message.pk}/do/requeue/").content.decode()
    assert "<script>alert" not in confirm
    assert "&lt;script&gt;alert" in confirm


def test_the_page_costs_the_same_with_many_attempts_and_recipients(browser, sender):
    small = make_message(sender)
    large = make_message(sender, recipients=tuple(f"p{n}@example.org" for n in range(60)))
    for number in range(1, 30):
        make_attempt(large, number, outcome=Outcome.TRANSIENT, sentence="Later.")
        TimelineEntry.objects.create(message=large, at=large.created_at, text="Given back.")

    def cost(message) -> int:
        with CaptureQueriesContext(connection) as queries:
            page(browser, message)
        return len(queries)

    assert cost(large) == cost(small) <= 9, "one of them puts the look on record"


def test_the_page_never_reads_a_secret(browser, sender):
    message = make_message(sender)
    with CaptureQueriesContext(connection) as queries:
        page(browser, message)
        browser.get(LIST)
    assert not [query for query in queries if SECRET_COLUMN.search(query["sql"])]


def test_an_unknown_message_leads_back_with_a_sentence(browser, db):
    gone = browser.get(f"{LIST}{'0' * 32}/change/", follow=True)
    assert gone.status_code == 200
    assert "exist" in gone.content.decode()
    assert browser.get(f"{LIST}00000000-0000-0000-0000-000000000000/raw/").status_code == 404


def test_nothing_can_be_added_edited_or_deleted(browser, sender):
    message = make_message(sender)
    assert browser.get(f"{LIST}add/").status_code == 403
    assert browser.post(f"{LIST}{message.pk}/change/", {"subject": "x"}).status_code == 403
    assert browser.post(f"{LIST}{message.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(LIST, {"action": "delete_selected", "_selected_action": [str(message.pk)], "index": "0"})
    assert Message.objects.get().subject == "Scan"
    for name in ("sendlog", "timelineentry", "delivery", "recipient", "contentchunk", "counter"):
        assert browser.get(f"/admin/mailrelay/{name}/").status_code == 404, name


def test_the_download_is_the_stored_content_as_an_attachment(browser, sender):
    message = make_message(sender)
    answer = browser.get(f"{LIST}{message.pk}/raw/")
    assert b"".join(answer.streaming_content) == content.read(message.pk)
    assert answer["Content-Type"] == "message/rfc822"
    assert answer["Content-Disposition"] == f'attachment; filename="{message.queue_id}.eml"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]


def test_content_that_was_removed_is_a_sentence_rather_than_an_empty_file(browser, sender, now):
    message = make_message(sender)
    content.remove([message.pk])
    answer = browser.get(f"{LIST}{message.pk}/raw/", follow=True)
    assert "has been removed" in answer.content.decode()


def test_content_needs_a_permission_of_its_own(reader, sender):
    message = make_message(sender)
    text = page(reader, message)
    assert "/raw/" not in text
    assert reader.get(f"{LIST}{message.pk}/raw/").status_code == 403
    user = reader.get(LIST).wsgi_request.user
    user.user_permissions.add(Permission.objects.get(codename="view_content"))
    assert reader.get(f"{LIST}{message.pk}/raw/").status_code == 200
    assert "/raw/" in page(reader, message)


def test_every_page_forbids_scripts_and_frames_of_others(browser, client, sender):
    message = make_message(sender)
    for answer in (
        browser.get(f"{LIST}{message.pk}/change/"),
        browser.get(LIST),
        client.get("/admin/login/"),
    ):
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        text = answer.content.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "<script>" not in text


@pytest.mark.parametrize(
    ("columns", "key", "told"),
    [
        ({}, "192.0.2.7", "which called itself printer.contoso.test; let in by SMTP_ALLOWED_NETWORKS."),
        ({}, "Printer", "let in as the client Printer, which was deleted since."),
        ({}, "test by ada", "A test mail, asked for by ada from 192.0.2.7."),
        ({"report": Report.ALERT}, "reports", "Made by the gateway itself, to tell about an alert."),
        (
            {"report": Report.FAILURE, "report_of": UUID(int=7)},
            "reports",
            "Made by the gateway itself: the report of a failure of 00000000000000000000000000000007.",
        ),
    ],
)
def test_the_timeline_begins_with_where_the_mail_came_from(browser, sender, columns, key, told):
    message = make_message(sender, delivery={"client_key": key}, **columns)
    assert told in page(browser, message)
    assert told in "\n".join(message_details.told(message.pk))


def test_the_client_that_let_it_in_is_named_after_it_was_deleted_too(browser, sender):
    client = SmtpClient.objects.create(name="Printer", networks="192.0.2.7")
    message = make_message(sender, client=client, delivery={"client_key": "Printer"})
    assert "let in as the client Printer." in page(browser, message)
    client.delete()
    assert "let in as the client Printer, which was deleted since." in page(browser, message)
