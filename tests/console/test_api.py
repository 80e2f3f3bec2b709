"""The API answers tokens of the right scope, in the shapes that its description tells."""

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client

from mailrelay.console.api_description import ACTIONS, DESCRIPTION
from mailrelay.models import ApiToken, AuditEvent, Message, TimelineEntry
from mailrelay.outbox import hand
from mailrelay.vocabulary import State
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1/"
ADD = "/admin/mailrelay/apitoken/add/"


def make_token(browser, *scopes, name="dashboard") -> str:
    page = browser.post(ADD, {"name": name, "scopes": scopes, "active": "on"}).content.decode()
    return re.search(r'id="token">([\w-]+)<', page)[1]


def ask(token, path, method="get", **query):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return getattr(Client(enforce_csrf_checks=True), method)(f"{API}{path}", query, headers=headers)


def conforms(value, schema) -> bool:
    """The part of JSON Schema that the description uses."""
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        return "null" in kinds
    kind = kinds[0]
    if kind == "object":
        same = set(value) == set(schema["properties"])
        return same and all(conforms(value[name], part) for name, part in schema["properties"].items())
    if kind == "array":
        return isinstance(value, list) and all(conforms(item, schema["items"]) for item in value)
    if kind == "integer":
        return type(value) is int and value >= schema["minimum"]
    if schema.get("format") == "date-time":
        return datetime.fromisoformat(value).tzinfo is not None
    return isinstance(value, str) and bool(re.search(schema.get("pattern", ""), value))


def schema_of(path, method, status) -> dict:
    answer = DESCRIPTION["paths"][path][method]["responses"][str(status)]
    return answer["content"]["application/json"]["schema"]


def test_a_token_is_shown_once_and_kept_as_a_digest(browser):
    token = make_token(browser, "read")
    row = ApiToken.objects.get()
    assert token not in (row.digest, row.name)
    pages = (
        browser.get("/admin/mailrelay/apitoken/"),
        browser.get(f"/admin/mailrelay/apitoken/{row.pk}/change/"),
    )
    assert all(page.status_code == 200 and token not in page.content.decode() for page in pages)
    assert not AuditEvent.objects.filter(detail__contains=token).exists()


def test_messages_are_listed_newest_first_and_page_by_page(browser, sender, now):
    token = make_token(browser, "read")
    rows = [make_message(sender, state=State.FAILED) for _ in range(3)]
    for age, row in enumerate(rows):
        Message.objects.filter(pk=row.pk).update(created_at=now - timedelta(minutes=age))
    first = ask(token, "messages", limit=2)
    assert conforms(first.json(), schema_of("/messages", "get", 200))
    assert [shown["id"] for shown in first.json()["messages"]] == [rows[0].queue_id, rows[1].queue_id]
    second = ask(token, "messages", limit=2, before=first.json()["next_before"]).json()
    assert [shown["id"] for shown in second["messages"]] == [rows[2].queue_id]
    assert second["next_before"] is None
    assert ask(token, "messages", state="sent").json()["messages"] == []


def test_one_message_is_found_by_its_queue_id(browser, sender):
    token = make_token(browser, "read")
    row = make_message(sender)
    answer = ask(token, f"messages/{row.queue_id}")
    assert conforms(answer.json(), schema_of("/messages/{id}", "get", 200))
    assert ask(token, f"messages/{row.pk}").json() == answer.json()
    for missing in ("0" * 32, "nonsense"):
        refused = ask(token, f"messages/{missing}")
        assert refused.status_code == 404
        assert conforms(refused.json(), schema_of("/messages/{id}", "get", 404))


def test_a_message_is_retried_once_and_the_token_is_on_record(browser, sender):
    token = make_token(browser, "operate", name="nightly")
    row = make_message(sender, state=State.FAILED)
    first, second = (ask(token, f"messages/{row.queue_id}/requeue", "post") for _ in range(2))
    assert conforms(first.json(), schema_of("/messages/{id}/{action}", "post", 200))
    assert (first.json(), second.json()) == (
        {"moved": 1, "state": "queued"},
        {"moved": 0, "state": "queued"},
    )
    assert TimelineEntry.objects.get(message=row).actor == "token nightly"
    assert AuditEvent.objects.filter(actor="token nightly", target=str(row.pk), detail="requeue").count() == 2


def test_what_has_no_content_any_more_is_a_conflict(browser, sender, now):
    token = make_token(browser, "operate")
    row = make_message(sender, state=State.FAILED)
    Message.objects.filter(pk=row.pk).update(content_removed_at=now)
    answer = ask(token, f"messages/{row.queue_id}/requeue", "post")
    assert answer.status_code == 409
    assert "removed" in answer.json()["error"]


def test_without_a_token_or_with_one_that_is_off_nothing_is_told(browser, sender):
    token = make_token(browser, "read")
    ApiToken.objects.update(active=False)
    for given in ("", "nonsense", token):
        answer = ask(given, "messages")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert conforms(answer.json(), schema_of("/messages", "get", 401))
    assert browser.get(f"{API}messages").status_code == 401, "a session is no token"


def test_a_scope_allows_what_it_says_and_no_more(browser, sender):
    reads, operates = make_token(browser, "read"), make_token(browser, "operate", name="other")
    row = make_message(sender, state=State.FAILED)
    assert ask(reads, f"messages/{row.queue_id}/cancel", "post").status_code == 403
    assert ask(operates, "messages").status_code == 403
    assert ask(operates, f"messages/{row.queue_id}/cancel").status_code == 405
    assert Message.objects.get().state == State.FAILED


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "201"}, {"limit": "²"}, {"before": "yesterday"}, {"state": "lost"}]
)
def test_a_malformed_question_gets_a_sentence(browser, query):
    answer = ask(make_token(browser, "read"), "messages", **query)
    assert answer.status_code == 400
    assert conforms(answer.json(), schema_of("/messages", "get", 400))


def test_the_description_names_each_action_and_is_served():
    assert set(ACTIONS) == set(hand.ACTIONS)
    assert Client().get(f"{API}openapi.json").json() == DESCRIPTION
