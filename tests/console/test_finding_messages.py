"""The list of messages: exact search, filters, and what it costs."""

from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.console import message_search
from mailrelay.models import Message
from mailrelay.vocabulary import Outcome, State
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


def test_the_search_uses_indexes_and_never_like(browser, wanted):
    with CaptureQueriesContext(connection) as queries:
        listed(browser, q="anna@example.org")
    statements = [
        query["sql"]
        for query in queries
        if "mailrelay_" in query["sql"] and query["sql"].startswith("SELECT")
    ]
    assert not [sql for sql in statements if " LIKE " in sql]
    for sql in statements:
        if "address_key" in sql or "message_id_key" in sql or "from_key" in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = " / ".join(row[3] for row in cursor.fetchall())
            assert "SCAN mailrelay_message" not in plan, plan
            assert "SCAN mailrelay_recipient" not in plan, plan


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


def test_nonsense_in_the_address_is_no_error_page(browser, sender):
    make_message(sender)
    for query in ({"sender": "x"}, {"state": "x"}, {"since": "x"}, {"p": "999"}, {"created_at__lte": "x"}):
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
    paginator = message_search.ReachPaginator(Message.objects.order_by("-created_at"), 50)
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
