"""The list of messages: exact search, filters, and what it costs."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.console import message_search
from mailrelay.console.paging import CountedPaginator
from mailrelay.models import Message
from mailrelay.outbox.keeping import subject_index
from mailrelay.outbox.scheduling import retention
from mailrelay.vocabulary import Outcome, State
from tests.console import plans
from tests.console.rows import make_attempt, make_message, make_sender

pytestmark = pytest.mark.django_db
LIST = "/admin/mailrelay/message/"


def listed(browser, **query) -> list[str]:
    """The queue ids on the page, from the top."""
    page = browser.get(LIST, query)
    assert page.status_code == 200
    return [row.queue_id for row in page.context["cl"].result_list]


@pytest.fixture
def wanted(sender):
    for number in range(3):
        make_message(sender, recipients=(f"other{number}@example.org",), message_id=f"other{number}@x")
    return make_message(
        sender,
        recipients=("Anna@Example.org", "bob@example.org"),
        message_id="ABC.123@Printer",
        header_from="Boss@Contoso.test",
        client_address="2001:db8::7",
    )


@pytest.mark.parametrize(
    "term",
    [
        "ABC.123@Printer",
        "<abc.123@printer>",
        "  <ABC.123@printer> ",
        "anna@example.org",
        "BOB@example.org",
        "boss@contoso.TEST",
        "2001:db8::7",
        "2001:0DB8:0::7",
    ],
)
def test_it_finds_a_message_by_any_of_its_names(browser, wanted, term):
    assert listed(browser, q=term) == [wanted.queue_id]


@pytest.mark.parametrize(
    "pasted",
    [
        *("Message-ID: <ABC.123@printer>", "message-id=<abc.123@printer>", "message-id=abc.123@printer,"),
        *("to=<anna@example.org>", "Anna <anna@example.org>", '"Anna B" <Anna@example.org>'),
        *('"anna@example.org"', "'anna@example.org'", "anna@example.org,", "anna@example.org;"),
        *("anna@example.org.", "mailto:anna@example.org", "RCPT TO:<anna@example.org>"),
        *("to=bob@example.org,", "to anna@example.org (Graph)", "[2001:db8::7]", "[2001:db8::7]:53211"),
        *("client=[2001:db8::7]", "250 2.0.0 Ok: queued as {id}", "250 2.0.0 queued as {id}", "id={id}"),
        *("{id}.", "accepted: id={id} size=3"),
    ],
)
def test_it_finds_what_is_pasted_with_what_stood_around_it(browser, wanted, pasted):
    assert listed(browser, q=pasted.format(id=wanted.queue_id)) == [wanted.queue_id]


def test_an_address_with_a_port_is_found_and_a_subject_with_a_name_in_it_too(browser, sender):
    subject = f"Build {'a' * 32} of ci@example.org failed"
    row = make_message(sender, subject=subject)
    subject_index.add([(row.deliveries.get().pk, row.subject)])
    for pasted in ("192.0.2.7:53211", subject, f"Subject: {subject}", "build failed."):
        assert listed(browser, q=pasted) == [row.queue_id], pasted


def test_it_finds_a_message_by_its_queue_id_its_task_and_graphs_request_id(browser, wanted):
    make_attempt(wanted, request_id="cef03c6b-79be-453c-89d8-7fc13dcebd0f", outcome=Outcome.SENT)
    for term in (
        wanted.queue_id,
        str(wanted.pk),
        f"{wanted.queue_id}.3",
        "CEF03C6B-79be-453c-89d8-7fc13dcebd0f",
    ):
        assert listed(browser, q=term) == [wanted.queue_id], term


def test_a_part_of_an_address_finds_nothing(browser, wanted):
    assert listed(browser, q="anna") == []
    assert listed(browser, q="%") == []


@pytest.fixture
def subjects_filled(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM mailrelay_subject")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM mailrelay_subject")


def note(*rows):
    subject_index.add([(row.deliveries.get().pk, row.subject) for row in rows])


@pytest.mark.parametrize("term", ["invoi", "INVOICE", "4711", "inv-2024", "inv 47", "2024 ÜBER", "für"])
def test_it_finds_words_of_the_subject_by_how_they_begin(browser, sender, subjects_filled, term):
    wanted = make_message(sender, subject="Invoice INV-2024/4711 für Überseehafen")
    note(wanted, make_message(sender, subject="Scan of a receipt"), make_message(sender, subject=""))
    assert listed(browser, q=term) == [wanted.queue_id]


@pytest.mark.parametrize("term", ["voice", "invoice scan", '"', "*", "inv* OR scan", "a:b^c", "'"])
def test_what_no_word_begins_with_finds_nothing_and_is_no_error(browser, sender, subjects_filled, term):
    note(make_message(sender, subject="Invoice"), make_message(sender, subject="Scan"))
    assert listed(browser, q=term) == []


def test_messages_from_before_the_search_are_filled_in_newest_first(sender, subjects_filled):
    rows = [make_message(sender, subject=f"Report {number}") for number in range(5)]
    split = rows[0].deliveries.get()
    split.pk, split.part = None, 1
    split.save(force_insert=True)
    note(rows[4])
    assert [text for _, text in subject_index.unfilled(2)] == ["Report 3", "Report 2"]
    retention.run()
    assert subject_index.unfilled() == []
    assert len(subject_index.matching("report", 10)) == 5
    assert subject_index.matching("report 0", 10) == [rows[0].pk]


def test_what_retention_deletes_is_not_found_any_more(sender, subjects_filled, now, settings):
    old = make_message(sender, state=State.SENT, subject="Old one", state_at=now - timedelta(days=400))
    young = make_message(sender, subject="Young one")
    note(old, young)
    assert len(subject_index.matching("one", 10)) == 2
    retention.run()
    assert not Message.objects.filter(pk=old.pk).exists()
    assert subject_index.matching("one", 10) == [young.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mailrelay_subject")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("name", plans.LOOKED_FOR)
def test_no_search_and_no_filter_scans_a_table(name):
    found = "\n".join(plans.plans(name))
    scans = [line for line in found.splitlines() if re.match(r"\s*SCAN mailrelay_", line)]
    # In the order of a partial index, or of one on the time, as far as the limit.
    ordered = r"VIRTUAL TABLE INDEX \d+:M|USING INDEX (message_large|non_delivery_received)"
    assert all(re.search(ordered, line) for line in scans), found
    assert any(index in found for index in plans.LOOKED_FOR[name][1]), found


@pytest.mark.services
def test_no_search_and_no_filter_scans_a_table_of_postgresql(postgresql, tmp_path):
    environment = os.environ | {"DATABASE_URL": postgresql.database(), "DATA_DIR": str(tmp_path)}
    keys = {"DJANGO_SECRET_KEY": "k" * 50, "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode()}

    def run(*command):
        answer = subprocess.run(
            [sys.executable, *command], env=environment | keys, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    run("manage.py", "migrate", "--verbosity=0")
    for name, found in json.loads(run("-m", "tests.console.plans")).items():
        text = "\n".join(found)
        assert "Seq Scan" not in text, f"{name}: {text}"
        assert any(index in text for index in plans.LOOKED_FOR[name][1]), f"{name}: {text}"


def test_it_filters_by_state_sender_and_time(browser, registration, sender, now):
    other = make_sender(registration, "shop", "shop@contoso.test")
    failed = make_message(sender, state=State.FAILED)
    held = make_message(other, state=State.HELD)
    old = make_message(other, state=State.SENT)
    Message.objects.filter(pk=old.pk).update(created_at=now - timedelta(days=3))
    assert listed(browser, state="failed") == [failed.queue_id]
    assert set(listed(browser, state="attention")) == {failed.queue_id, held.queue_id}
    assert set(listed(browser, sender=str(other.pk))) == {held.queue_id, old.queue_id}
    assert set(listed(browser, since="24h")) == {failed.queue_id, held.queue_id}
    assert listed(browser, since="7d", sender=str(other.pk), state="sent") == [old.queue_id]
    assert listed(browser, q="anna@example.org", state="held") == [held.queue_id]


@pytest.fixture
def hourly(sender):
    """Messages of ten hours of a day, an hour apart; by the hour."""
    rows = {}
    for hour in range(10):
        rows[hour] = make_message(sender, state=State.FAILED if hour % 2 else State.SENT)
        at = datetime(2027, 3, 31, hour, 30, 20, tzinfo=UTC)
        Message.objects.filter(pk=rows[hour].pk).update(created_at=at)
    return {hour: row.queue_id for hour, row in rows.items()}


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2027-03-31T07:00", "", [9, 8, 7]),
        ("", "2027-03-31T02:00", [1, 0]),
        ("2027-03-31T02:00", "2027-03-31T04:30", [4, 3, 2]),
        ("2027-03-31T02:30:21", "2027-03-31T04:30:19", [3]),
        ("2027-03-31T02:30:20", "2027-03-31T04:30:20", [4, 3, 2]),
        ("2027-03-31", "2027-03-31", list(range(9, -1, -1))),
        ("2027-04-01", "", []),
        ("", "2027-03-30", []),
        ("0001-01-01", "9000-12-31", list(range(9, -1, -1))),
        ("2027-03-31T10:00+02:00", "2027-03-31 09:45", [9, 8]),
    ],
)
def test_it_lists_a_stretch_of_time_with_both_its_ends(browser, hourly, begin, end, hours):
    assert listed(browser, **{"from": begin, "until": end}) == [hourly[hour] for hour in hours]


def test_a_stretch_goes_with_a_search_and_with_every_other_filter(browser, hourly, sender):
    period = {"from": "2027-03-31T02:00", "until": "2027-03-31T07:59"}
    assert listed(browser, state="failed", **period) == [hourly[hour] for hour in (7, 5, 3)]
    query = {"q": "anna@example.org", "state": "failed", "sender": str(sender.pk), "client": "0", **period}
    page = browser.get(LIST, query)
    assert [row.queue_id for row in page.context["cl"].result_list] == [hourly[hour] for hour in (7, 5, 3)]
    text = page.content.decode()
    form = text[text.index('<form class="stretch"') :]
    form = form[: form.index("</form>")]
    for name, value in query.items():
        assert f'name="{name}" value="{value}"' in form, name
    search = text[text.index('<form id="changelist-search"') :].partition("</form>")[0]
    assert all(f'name="{name}" value="{value}"' in search for name, value in period.items())
    lately = re.search(r'href="([^"]+)">Last 24 hours', text)[1]
    assert "state=failed" in lately
    assert "until" not in lately


def test_a_stretch_is_kept_from_page_to_page_and_in_the_export(browser, hourly, monkeypatch):
    monkeypatch.setattr("mailrelay.console.messages.MessageAdmin.list_per_page", 2)
    period = "from=2027-03-31T02%3A00&until=2027-03-31T05%3A59"
    page = browser.get(f"{LIST}?{period}")
    following = re.search(r'href="(\?[^"]*p=2[^"]*)"', page.content.decode())[1]
    rows = browser.get(LIST + unescape(following)).context["cl"].result_list
    assert [row.queue_id for row in rows] == [hourly[3], hourly[2]]
    ticked = {"action": "export", "_selected_action": [str(rows[0].pk)], "select_across": "1", "index": "0"}
    exported = browser.post(f"{LIST}?{period}", ticked)
    text = b"".join(exported.streaming_content).decode()
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == [hourly[hour] for hour in (5, 4, 3, 2)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": "yesterday"}, "“yesterday” is not a time"),
        ({"until": "2027-02-30T10:00"}, "“2027-02-30T10:00” is not a time"),
        ({"until": "<script>"}, "“&lt;script&gt;” is not a time"),
        ({"from": "9999-12-31T23:59-23:00"}, "is not a time"),
        ({"from": "2027-03-31T10:00", "until": "2027-03-31T09:00"}, "would end before it begins"),
    ],
)
def test_what_is_no_stretch_of_time_is_refused_in_words(browser, hourly, query, words):
    page = browser.get(LIST, query)
    assert page.status_code == 200
    assert words in page.content.decode()
    assert list(page.context["cl"].result_list) == []
    ticked = {"action": "hold", "_selected_action": ["x"], "select_across": "1", "index": "0"}
    browser.post(f"{LIST}?{urlencode(query)}", ticked)
    assert not Message.objects.filter(state=State.HELD).exists()


def test_nonsense_in_the_address_is_no_error_page(browser, sender):
    make_message(sender)
    early = {"created_at__lte": "0001-01-01T00:00:00+00:00", "q": "anna@example.org"}
    for query in (
        *({"sender": "x"}, {"state": "x"}, {"since": "x"}, {"p": "999"}, {"created_at__lte": "x"}, early),
    ):
        assert browser.get(LIST, query, follow=True).status_code == 200, query


def test_the_list_costs_the_same_with_one_message_and_with_forty(browser, sender):
    make_message(sender)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(LIST).status_code == 200
        return len(queries)

    one = cost()
    for number in range(39):
        make_message(sender, state=State.DEFERRED, recipients=(f"a{number}@example.org", "b@example.org"))
    assert cost() == one
    assert one <= 8


def test_it_lists_the_newest_within_its_reach_and_leads_to_older_ones(browser, sender, now, monkeypatch):
    for number in range(7):
        row = make_message(sender)
        Message.objects.filter(pk=row.pk).update(created_at=now - timedelta(minutes=number))
    newest_first = [row.queue_id for row in Message.objects.order_by("-created_at")]
    for module in ("message_search", "messages"):
        monkeypatch.setattr(f"mailrelay.console.{module}.REACH", 4)
    monkeypatch.setattr("mailrelay.console.messages.MessageAdmin.list_per_page", 2)

    assert listed(browser) == newest_first[:2]
    last = browser.get(LIST, {"p": "2"})
    assert [row.queue_id for row in last.context["cl"].result_list] == newest_first[2:4]
    older = last.context["cl"].older
    assert older in unescape(last.content.decode())
    following = browser.get(LIST + older)
    assert [row.queue_id for row in following.context["cl"].result_list] == newest_first[3:5]
    assert "Newest" in following.content.decode()


def test_nobody_counts_more_than_the_reach(sender):
    make_message(sender)
    paginator = CountedPaginator(Message.objects.order_by("-created_at"), 50, most=message_search.REACH)
    with CaptureQueriesContext(connection) as queries:
        assert paginator.count == 1
    assert f"LIMIT {message_search.REACH}" in queries[0]["sql"]


def test_the_list_counts_no_facets(browser, sender):
    make_message(sender, state=State.FAILED)
    assert "Failed (" not in browser.get(LIST, {"_facets": "True"}).content.decode()


def test_stored_texts_are_escaped_in_the_list(browser, sender):
    evil = "<script>alert(1)</script>"
    make_message(sender, subject=evil, header_from=f'"{evil}"@x.test', recipients=(f"{evil}@x.test",))
    text = browser.get(LIST).content.decode()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") == 3


@pytest.mark.parametrize("screen", ["auditevent", "refusal", "mailbox", "worker", "senderconfig", "alert"])
def test_no_list_counts_more_than_it_reaches(browser, screen):
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(f"/admin/mailrelay/{screen}/").status_code == 200
    counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts), counts


def test_the_audit_list_is_searched_by_its_indexes(browser, sender):
    message = make_message(sender)
    browser.get(f"{LIST}{message.pk}/change/")
    with CaptureQueriesContext(connection) as queries:
        for term in ("root", message.queue_id, str(message.pk)):
            page = browser.get("/admin/mailrelay/auditevent/", {"q": f" {term} "})
            assert str(message.pk) in page.content.decode(), term
        assert (
            "mailrelay_message_change"
            not in browser.get("/admin/mailrelay/auditevent/", {"q": "roo"}).content.decode()
        )
    assert not [query["sql"] for query in queries if " LIKE " in query["sql"]]
