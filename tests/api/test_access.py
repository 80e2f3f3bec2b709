"""Tokens open what their scopes say, for as long and as fast as they may."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from mailrelay.models import ApiToken, AuditEvent, Message, SmtpClient
from mailrelay.vocabulary import State
from tests.api.shapes import conforms, schema_of
from tests.api.tokens import API, ask, make_token
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/admin/mailrelay/apitoken/add/"
GIVEN = {"name": "dashboard", "requests_per_minute": "600", "active": "on"}


def test_a_token_is_shown_once_and_kept_as_a_digest(browser):
    page = browser.post(ADD, {**GIVEN, "scopes": ["read"]}).content.decode()
    token = re.search(r'id="token">([\w-]+)<', page)[1]
    row = ApiToken.objects.get()
    assert token not in (row.digest, row.name)
    pages = (
        browser.get("/admin/mailrelay/apitoken/"),
        browser.get(f"/admin/mailrelay/apitoken/{row.pk}/change/"),
    )
    assert all(page.status_code == 200 and token not in page.content.decode() for page in pages)
    assert not AuditEvent.objects.filter(detail__contains=token).exists()
    assert ask(token, "messages").status_code == 200


def test_a_token_is_given_its_end_and_its_client(browser):
    printer = SmtpClient.objects.create(name="printer")
    given = {**GIVEN, "scopes": ["submit"], "client": printer.pk, "expires_at": "2031-05-01T12:30"}
    assert browser.post(ADD, given).status_code == 200
    row = ApiToken.objects.get()
    assert (row.client, row.expires_at) == (printer, datetime(2031, 5, 1, 12, 30, tzinfo=UTC))


def test_a_token_that_submits_names_its_client(browser):
    page = browser.post(ADD, {**GIVEN, "scopes": ["read", "submit"]})
    assert "Choose the SMTP client" in page.content.decode()
    assert not ApiToken.objects.exists()


def test_without_a_token_or_with_one_that_is_off_nothing_is_told(browser, sender):
    token = make_token("read")
    ApiToken.objects.update(active=False)
    for given in ("", "nonsense", token):
        answer = ask(given, "messages")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert conforms(answer.json(), schema_of("/messages", "get", 401))
    assert browser.get(f"{API}messages").status_code == 401, "a session is no token"


def test_a_token_ends_when_its_time_is_over(now):
    ended = make_token("read", expires_at=now - timedelta(seconds=1))
    lasts = make_token("read", name="other", expires_at=now + timedelta(hours=1))
    assert (ask(ended, "messages").status_code, ask(lasts, "messages").status_code) == (401, 200)


def test_the_last_use_is_noted_but_not_each(now):
    token = make_token("read")
    ask(token, "queue")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    ask(token, "queue")
    assert ApiToken.objects.get().last_used_at == first


def test_a_scope_allows_what_it_says_and_no_more(sender):
    reads, operates = make_token("read"), make_token("operate", name="other")
    row = make_message(sender, state=State.FAILED)
    assert ask(reads, f"messages/{row.queue_id}/cancel", "post").status_code == 403
    assert ask(reads, "tests", "post", {"to": "a@example.org"}).status_code == 403
    assert ask(reads, "submissions", "post").status_code == 403
    assert ask(operates, "messages").status_code == 403
    assert Message.objects.get().state == State.FAILED


def test_another_method_is_told_which_there_are():
    answer = ask(make_token("operate"), f"messages/{'0' * 32}/cancel")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert Client().post(f"{API}queue").headers["Allow"] == "GET, HEAD"


def test_an_address_of_nothing_is_a_problem_as_well():
    answer = Client().get(f"{API}letters")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_who_asks_too_fast_is_told_when_to_come_again():
    token = make_token("read", requests_per_minute=2)
    answers = [ask(token, "queue") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert conforms(answers[2].json(), schema_of("/queue", "get", 429))
