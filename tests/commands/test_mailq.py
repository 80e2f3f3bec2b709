"""`manage.py mailq`: every message a line, oldest first, and what a person does about them."""

import json
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.cli import listing
from mailrelay.models import Delivery, Message, Recipient, SenderConfig, TimelineEntry
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Outcome, Reason, State
from tests.commands.conftest import BASE
from tests.harness.processes import ROOT, base_environment, mail, mailq, manage, send

KEYS = [
    "id",
    "state",
    "message_id",
    "mail_from",
    "recipients",
    "sender",
    "size",
    "created_at",
    "next_attempt_at",
    "attempts",
    "last_error",
]


@pytest.fixture
def listed(run):
    def listed(*arguments):
        return [json.loads(line) for line in run("mailq", "--json", *arguments).splitlines()]

    return listed


def test_it_gives_a_json_object_a_line_with_exactly_the_promised_keys(store, attempt, listed):
    due = BASE + timedelta(minutes=5)
    message = store(
        State.DEFERRED, to=("ann@example.org", "Bob@example.org"), error="Graph said no.", next_attempt_at=due
    )
    attempt(message, outcome=Outcome.TRANSIENT)

    (row,) = listed()

    assert list(row) == KEYS
    assert row == {
        "id": message.id.hex,
        "state": "deferred",
        "message_id": "scan-0@example.org",
        "mail_from": "scanner@example.org",
        "recipients": ["ann@example.org", "Bob@example.org"],
        "sender": "printers",
        "size": 2048,
        "created_at": "2026-11-01T12:00:00.000Z",
        "next_attempt_at": "2026-11-01T12:05:00.000Z",
        "attempts": 1,
        "last_error": "Graph said no.",
    }


def test_it_prints_nothing_but_json_when_there_is_nothing(store, run):
    assert run("mailq", "--json") == ""


def test_it_lists_the_oldest_first_across_pages(store, listed, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 3)
    stored = [store(State.SENT, number=number // 2) for number in range(11)]

    rows = listed()

    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    assert {row["id"] for row in rows} == {message.id.hex for message in stored}
    assert len(rows) == 11


def test_it_stops_at_the_limit(store, listed, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 3)
    stored = [store(State.SENT, number=number) for number in range(9)]

    assert [row["id"] for row in listed("--limit", "4")] == [message.id.hex for message in stored[:4]]


@pytest.mark.parametrize(
    ("deliveries", "shown"),
    [
        ((State.SENDING, State.SENT), "sending"),
        ((State.RESERVED, State.SENT), "reserved"),
        ((State.SENDING, State.RESERVED), "sending"),
        ((State.SENT, State.FAILED), "failed"),
        ((State.QUEUED, State.SENT), "queued"),
    ],
)
def test_it_shows_work_in_flight_by_its_name(store, listed, deliveries, shown):
    store(*deliveries)

    assert [row["state"] for row in listed()] == [shown]


@pytest.mark.parametrize("state", State)
def test_it_finds_by_the_state_that_it_shows(store, listed, state):
    for number, each in enumerate(State):
        store(each, number=number)
    store(State.SENDING, State.RESERVED, State.HELD, number=100)

    found = listed("--state", state.value)

    assert {row["state"] for row in found} == {state.value}
    assert len(found) == (2 if state == State.SENDING else 1)


def test_it_finds_all_that_is_not_over(store, listed):
    for number, each in enumerate(State):
        store(each, number=number)

    assert {row["state"] for row in listed("--state", "open")} == {
        "queued",
        "reserved",
        "sending",
        "deferred",
        "held",
        "uncertain",
    }


def test_it_finds_by_sender_and_refuses_a_name_that_nobody_has(store, listed, mailbox):
    other = SenderConfig.objects.create(name="invoices", mailbox=mailbox)
    store(State.SENT)
    mine = store(State.SENT, sender=other)

    assert [row["id"] for row in listed("--sender", "invoices")] == [mine.id.hex]
    with pytest.raises(CommandError, match=r"no sender named 'nobody'\. There is: invoices, printers"):
        listed("--sender", "nobody")


def test_it_needs_no_more_queries_for_more_messages(store, attempt, listed):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            list(listing.rows())
        return len(captured)

    attempt(store(State.SENT))
    few = queries()
    for number in range(30):
        attempt(store(State.SENT, number=number, to=("a@example.org", "b@example.org")))

    assert queries() == few


def crowd(sender, count):
    """Store many messages without recipients."""
    ids = [uuid4() for _ in range(count)]
    common = {"state_at": BASE, "sender": sender, "size": 1, "recipient_count": 1, "client_address": "::1"}
    Message.objects.bulk_create(Message(id=key, created_at=BASE, message_id="x", **common) for key in ids)
    Delivery.objects.bulk_create(
        Delivery(message_id=key, sender=sender, mailbox=sender.mailbox, created_at=BASE) for key in ids
    )
    return ids


def test_it_reads_a_long_queue_a_page_at_a_time(sender):
    ids = crowd(sender, 3000)
    with CaptureQueriesContext(connection) as captured:
        first = next(rows := listing.rows())

        few = len(captured)
        others = sum(1 for _ in rows)

    pages = [query["sql"] for query in captured if 'FROM "mailrelay_message"' in query["sql"]]
    assert (few, first.id, others) == (4, min(ids).hex, 2999)
    assert len(pages[1]) == len(pages[-1])  # what a page asks does not grow with the pages before it


def test_a_reader_that_has_seen_enough_is_no_error(sender, tmp_path):
    crowd(sender, 1000)  # more than a pipe holds
    environment = base_environment(
        tmp_path, DATABASE_URL=f"sqlite://{connection.settings_dict['NAME']}", LOG_LEVEL="WARNING"
    )
    command = f"{sys.executable} manage.py mailq --json | head -c 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"{", b"")


def test_it_prints_lines_of_at_most_a_hundred_columns_and_a_summary(store, run):
    store(State.SENT, number=0, to=("ann@example.org",))
    store(
        State.HELD, number=1, to=("x" * 60 + "@example.org", "b@example.org"), error="Secret expired. " * 20
    )

    lines = run("mailq").splitlines()

    assert max(len(line) for line in lines) <= 100
    assert lines[0].startswith("ID ")
    assert " sent " in lines[1]
    assert " held " in lines[2]
    assert lines[2].endswith("+1")
    assert lines[3].strip().startswith("Secret expired.")
    assert lines[-1] == "2 messages, 4.0K: 1 sent, 1 held."


def test_it_says_that_there_are_no_messages(store, run):
    assert run("mailq") == "No messages.\n"


def test_it_lets_nothing_from_the_network_steer_the_terminal(store, run):
    message = store(State.HELD, to=("a\x1b[2J@example.org",), error="\x1b]0;owned\x07")
    Message.objects.filter(pk=message.pk).update(subject="\x1b[31mred", client_name="\x1b[5m")

    assert "\x1b" not in run("mailq") + run("mailq", "show", message.id.hex)


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("requeue", State.FAILED, State.QUEUED),
        ("hold", State.QUEUED, State.HELD),
        ("release", State.HELD, State.QUEUED),
        ("cancel", State.DEFERRED, State.CANCELLED),
    ],
)
def test_it_moves_messages_by_hand_and_says_how_many(store, run, action, before, after):
    one, two = store(before), store(before, before, number=1)

    said = run("mailq", action, one.id.hex, str(two.id))

    assert {row.state for row in Delivery.objects.all()} == {after}
    assert {row.state for row in Message.objects.all()} == {after}
    assert f"{one.id.hex}: 1 " in said
    assert "3 deliveries moved." in said
    assert TimelineEntry.objects.filter(message=one).get().actor.endswith("mailq)")


def test_it_says_that_there_was_nothing_to_do(store, run):
    message = store(State.SENT)

    assert f"{message.id.hex}: nothing to do; it is sent now" in run("mailq", "release", message.id.hex)


def test_it_does_nothing_at_all_when_one_id_is_unknown(store, run):
    message, unknown = store(State.HELD), uuid4().hex

    with pytest.raises(CommandError, match=f"No message has the id {unknown}: nothing was done"):
        run("mailq", "release", message.id.hex, unknown)

    assert Delivery.objects.get().state == State.HELD


@pytest.mark.parametrize("word", ["123", "not-an-id"])
def test_it_refuses_what_is_no_queue_id(store, run, word):
    with pytest.raises(CommandError, match="is not a queue id"):
        run("mailq", "hold", word)


def test_it_asks_which_message(store, run):
    with pytest.raises(CommandError, match="which messages to hold"):
        run("mailq", "hold")


def test_it_tells_the_story_of_a_message(store, attempt, run):
    message = store(
        State.HELD, to=("ann@example.org",), error="The secret has expired.", reason=Reason.SECRET_EXPIRED
    )
    attempt(
        message,
        outcome=Outcome.CONFIGURATION,
        http_status=401,
        graph_code="InvalidAuthenticationToken",
        request_id="abc-123",
        duration_ms=1250,
        sentence="Graph refused the token.",
        advice="Enter a new secret.",
    )
    message_state.note(message.deliveries.get(), "Held by ann.", BASE + timedelta(minutes=1), "ann")

    text = run("mailq", "show", message.id.hex)

    order = [
        "Accepted from 192.0.2.7, which called itself scanner.example; let in by SMTP_ALLOWED_NETWORKS.",
        "attempt 1 (mime), 1.25 s, HTTP 401, InvalidAuthenticationToken, request-id abc-123: configuration.",
        "Graph refused the token. Enter a new secret.",
        "Held by ann.",
        "Held until the configuration is fixed. It is then sent automatically. The secret has expired.",
    ]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "ann@example.org: held" in text


def test_it_says_of_each_of_several_deliveries_whose_it_is(store, run):
    message = store(State.FAILED, State.HELD, to=[f"person-{number}@example.org" for number in range(6)])
    failed = message.deliveries.get(state=State.FAILED)
    message.recipients.filter(address="person-5@example.org").update(delivery=failed)

    text = run("mailq", "show", message.id.hex)

    assert "Next for person-5@example.org, through" in text
    assert "Next for person-0@example.org, person-1@example.org, person-2@example.org and 2 more, thr" in text


def test_it_ends_with_one_and_a_sentence_as_a_process(embedded):
    manage(embedded.environment, "migrate", "--verbosity", "0")

    done = manage(embedded.environment, "mailq", "release", uuid4().hex, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: No message has the id")
    assert "Traceback" not in done.stderr


def test_it_says_what_to_do_about_a_database_without_tables(embedded):
    done = manage(embedded.environment, "mailq", check=False)

    assert done.returncode == 1
    assert "Run manage.py migrate first" in done.stderr


def test_recipients_of_one_message_do_not_leak_into_another(store, listed):
    store(State.SENT, to=("ann@example.org",))
    store(State.SENT, number=1, to=("bob@example.org",))

    assert [row["recipients"] for row in listed()] == [["ann@example.org"], ["bob@example.org"]]
    assert Recipient.objects.count() == 2


def test_it_lists_and_acts_on_a_cluster_too(on_redis):
    on_redis.migrate()
    listener = on_redis.listener().start()
    queue_id = send(listener.smtp_port, mail(1))

    manage(listener.environment, "mailq", "hold", queue_id)

    ((row),) = mailq(listener.environment, "--state", "held")
    assert (row["id"], row["recipients"]) == (queue_id, ["ann@example.org"])
