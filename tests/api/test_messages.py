"""Messages over the API: found by what is known of them, told whole, acted on once."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from mailrelay.api.description import ACTIONS
from mailrelay.api.messages import ACTIONS as CARRIED_OUT
from mailrelay.models import AuditEvent, Message, TimelineEntry
from mailrelay.vocabulary import State
from tests.api.shapes import conforms, schema_of
from tests.api.tokens import ask, make_token
from tests.console.rows import make_attempt, make_message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reads():
    return make_token("read")


@pytest.fixture
def operates():
    return make_token("operate", name="nightly")


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [shown["id"] for shown in answer.json()["messages"]]


def test_messages_are_listed_newest_first_and_page_by_page(reads, sender, now):
    rows = [make_message(sender, state=State.FAILED) for _ in range(3)]
    for age, row in enumerate(rows):
        Message.objects.filter(pk=row.pk).update(created_at=now - timedelta(minutes=age))
    first = ask(reads, "messages", limit=2)
    assert conforms(first.json(), schema_of("/messages", "get", 200))
    assert ids(first) == [rows[0].queue_id, rows[1].queue_id]
    second = ask(reads, "messages", limit=2, cursor=first.json()["next_cursor"])
    assert ids(second) == [rows[2].queue_id]
    assert second.json()["next_cursor"] is None


def test_messages_of_one_instant_are_each_listed_once(reads, sender, now):
    rows = {make_message(sender).queue_id for _ in range(5)}
    Message.objects.update(created_at=now)
    found, cursor = [], {}
    for _ in range(5):
        page = ask(reads, "messages", limit=2, **cursor)
        found += ids(page)
        if page.json()["next_cursor"] is None:
            break
        cursor = {"cursor": page.json()["next_cursor"]}
    assert len(found) == 5
    assert set(found) == rows


def test_the_messages_of_a_recipient_are_paged_too(reads, sender):
    rows = [make_message(sender, recipients=("Anna@example.org", f"b{n}@example.org")) for n in range(3)]
    make_message(sender, recipients=("other@example.org",))
    first = ask(reads, "messages", recipient="<anna@EXAMPLE.org>", limit=2)
    second = ask(reads, "messages", recipient="anna@example.org", limit=2, cursor=first.json()["next_cursor"])
    assert ids(first) + ids(second) == [row.queue_id for row in reversed(rows)]


def test_no_message_is_dropped_where_an_envelope_names_a_recipient_twice(reads, sender):
    rows = [
        make_message(sender, recipients=("Bob@example.org", "bob@example.org", "bob@EXAMPLE.org"))
        for _ in "1234"
    ]
    found, cursor = [], {}
    for _ in rows:
        page = ask(reads, "messages", recipient="bob@example.org", limit=1, **cursor)
        found += ids(page)
        cursor = {"cursor": page.json()["next_cursor"]}
    assert found == [row.queue_id for row in reversed(rows)]
    assert cursor == {"cursor": None}


def test_the_states_that_it_filters_by_are_those_that_messages_show(reads, sender):
    make_message(sender, state=State.SENDING)
    parameters = ask(reads, "openapi.json").json()["paths"]["/messages"]["get"]["parameters"]
    (state,) = [one for one in parameters if one["name"] == "state"]
    for value in state["schema"]["enum"]:
        assert len(ids(ask(reads, "messages", state=value))) == (value == "queued")
    assert ask(reads, "messages", state="sending").status_code == 400


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"state": "failed"}, True),
        ({"state": "sent"}, False),
        ({"sender": "office"}, True),
        ({"sender": "elsewhere"}, False),
        ({"from": "SCANNER@contoso.test"}, True),
        ({"message_id": "<One@Printer>"}, True),
        ({"client_address": "192.0.2.7"}, True),
        ({"client_address": "192.0.2.8"}, False),
        ({"since": "2020-01-01T00:00:00Z"}, True),
        ({"until": "2020-01-01T00:00:00+00:00"}, False),
    ],
)
def test_a_filter_keeps_what_it_names(reads, sender, filters, found):
    row = make_message(sender, state=State.FAILED, message_id="one@printer")
    assert ids(ask(reads, "messages", **filters)) == ([row.queue_id] if found else [])


def test_one_message_is_told_whole(reads, sender, now):
    row = make_message(sender, recipients=("a@example.org", "b@example.org"), state=State.FAILED)
    make_attempt(row, outcome="permanent", http_status=400, graph_code="ErrorInvalidRecipients")
    TimelineEntry.objects.create(message=row, at=now, actor="root", text="Queued again by root.")
    answer = ask(reads, f"messages/{row.queue_id}")
    assert conforms(answer.json(), schema_of("/messages/{id}", "get", 200)), answer.json()
    told = answer.json()
    assert [part["address"] for part in told["recipients"]] == ["a@example.org", "b@example.org"]
    assert {part["state"] for part in told["recipients"]} == {"failed"}
    assert told["attempts"][0]["graph_code"] == "ErrorInvalidRecipients"
    assert told["timeline"][0]["text"] == "Queued again by root."
    assert ask(reads, f"messages/{row.pk}").json() == told


@pytest.mark.parametrize("missing", ["0" * 32, "nonsense", quote("%00")])
def test_what_is_not_there_is_said_so(reads, db, missing):
    refused = ask(reads, f"messages/{missing}")
    assert refused.status_code == 404
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert conforms(refused.json(), schema_of("/messages/{id}", "get", 404))


def test_a_message_is_retried_once_and_the_token_is_on_record(operates, sender):
    row = make_message(sender, state=State.FAILED)
    first, second = (ask(operates, f"messages/{row.queue_id}/requeue", "post") for _ in range(2))
    assert conforms(first.json(), schema_of("/messages/{id}/requeue", "post", 200))
    assert (first.json(), second.json()) == (
        {"moved": 1, "state": "queued"},
        {"moved": 0, "state": "queued"},
    )
    assert TimelineEntry.objects.get(message=row).actor == "token nightly"
    assert AuditEvent.objects.filter(actor="token nightly", target=str(row.pk), detail="requeue").count() == 2


def test_the_reason_of_an_action_goes_on_the_timeline(operates, sender):
    row = make_message(sender, state=State.FAILED)
    ask(operates, f"messages/{row.queue_id}/cancel", "post", {"why": "not this"})
    ask(operates, f"messages/{row.queue_id}/requeue", "post", {"why": " the mailbox\n is back "})
    assert (
        TimelineEntry.objects.get(message=row).text == "Queued again by token nightly: the mailbox is back."
    )
    assert ask(operates, f"messages/{row.queue_id}/hold", "post", {"because": "x"}).status_code == 400


def test_a_sent_message_is_sent_once_more_however_often_that_is_asked(operates, sender):
    row = make_message(sender, state=State.SENT)
    make_attempt(row, outcome="sent")
    first = ask(operates, f"messages/{row.queue_id}/resend", "post", {"attempts": 1})
    assert first.json() == {"moved": 1, "state": "queued"}
    make_attempt(row, number=2, outcome="sent")
    row.deliveries.update(state=State.SENT)
    second = ask(operates, f"messages/{row.queue_id}/resend", "post", {"attempts": 1})
    assert second.json()["moved"] == 0


@pytest.mark.parametrize("body", [{}, {"attempts": "1"}, {"attempts": True}, {"seen": 1}, [1], "attempts"])
def test_a_resend_says_how_many_attempts_it_knows_of(operates, sender, body):
    row = make_message(sender, state=State.SENT)
    assert ask(operates, f"messages/{row.queue_id}/resend", "post", body).status_code == 400
    assert row.deliveries.get().state == State.SENT


def test_what_has_no_content_any_more_is_a_conflict(operates, sender, now):
    row = make_message(sender, state=State.FAILED)
    Message.objects.filter(pk=row.pk).update(content_removed_at=now)
    answer = ask(operates, f"messages/{row.queue_id}/requeue", "post")
    assert answer.status_code == 409
    assert "removed" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "²"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00:00+23:59"},
        {"until": "9999-12-31T23:59:59-23:59"},
        {"until": "2027-03-31T12:00:00"},
        {"state": "lost"},
        {"state": ""},
        {"limit": ""},
        {"since": ""},
        {"cursor": "nonsense"},
        {"cursor": "é"},
        {"recipient": "\0"},
        {"before": "2027-03-31T12:00:00Z"},
    ],
)
def test_a_malformed_question_gets_a_sentence(reads, query):
    answer = ask(reads, "messages", **query)
    assert answer.status_code == 400
    assert conforms(answer.json(), schema_of("/messages", "get", 400))


def test_the_description_names_each_action():
    assert set(ACTIONS) == set(CARRIED_OUT)
