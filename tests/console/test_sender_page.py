"""The page of a sender at work: test mail, pause and resume, limits and their use, permissions in words."""

import re
from contextlib import ExitStack

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from mailrelay.console import roles
from mailrelay.models import AppRegistration, AuditEvent, Delivery, Mailbox, Message, SenderConfig
from mailrelay.outbox.accepting.accept import Acceptor
from mailrelay.outbox.keeping import origin
from mailrelay.routing.watch import ConfigurationWatch
from mailrelay.smtp import injection
from mailrelay.smtp.context import Context
from mailrelay.smtp.options import SmtpOptions
from mailrelay.vocabulary import State
from tests.console.rows import CLIENT, make_attempt, make_message, make_registration, make_sender

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(db, at_microsoft):
    app = make_registration(secret="sandbox-secret", **at_microsoft)
    return make_sender(app, address="gateway@contoso.test")


@pytest.fixture
def page(office):
    return f"/admin/mailrelay/senderconfig/{office.pk}/at-work/"


def person(role) -> Client:
    user = User.objects.create(username=role.lower(), is_staff=True)
    roles.ensure()
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


# --- Pausing -------------------------------------------------------------------------------------------


def test_a_pause_has_a_reason_holds_what_waits_and_is_on_the_audit_list(office, page):
    message = make_message(office)
    operator = person(roles.OPERATOR)

    told = operator.post(page, {"step": "pause", "reason": "Wrong invoices"}, follow=True).content.decode()

    assert "by operator: Wrong invoices" in told
    assert Message.objects.get(pk=message.pk).state == State.HELD
    detail = AuditEvent.objects.filter(action__startswith="change").latest("pk").detail
    assert detail == "office: Paused: Wrong invoices"
    for place in ("/admin/", "/admin/mailrelay/senderconfig/"):
        assert "Wrong invoices" in operator.get(place).content.decode()

    operator.post(page, {"step": "resume"})

    assert Delivery.objects.get().state == State.QUEUED
    assert SenderConfig.objects.get().paused_at is None


def test_a_pause_without_a_reason_is_refused(office, page, browser):
    assert "This field is required" in browser.post(page, {"step": "pause"}).content.decode()
    assert SenderConfig.objects.get().paused_at is None


def test_who_may_only_see_changes_nothing(office, page):
    viewer = person(roles.VIEWER)
    shown = viewer.get(page).content.decode()
    assert "Send a test mail" not in shown
    assert "Pause this sender" not in shown
    for step in ("test", "pause", "resume", "probe"):
        assert viewer.post(page, {"step": step, "reason": "x"}).status_code == 403
    assert SenderConfig.objects.get().paused_at is None


def test_who_may_not_see_senders_sees_no_page(reader, page):
    assert reader.get(page).status_code == 403


# --- Limits --------------------------------------------------------------------------------------------


def test_limits_are_shown_with_their_use(office, page, browser, now):
    bucket = int(now.timestamp()) // 3600 * 3600
    Mailbox.objects.update(recipients_per_day=1000, recipient_window=[[bucket, 250]], tokens_at=None)
    make_message(office, state=State.SENDING)
    shown = browser.get(page).content.decode()
    assert "250 of 1,000" in shown
    assert re.search(r'value="25" aria-label="Recipients in 24 hours"', shown)
    assert "1 of 4" in shown


# --- Permissions ---------------------------------------------------------------------------------------


def asked(browser, page) -> str:
    return browser.post(page, {"step": "probe"}).content.decode()


def test_permissions_are_told_in_words_and_no_mail_is_sent(office, page, browser, microsoft):
    before = len(microsoft.deliveries())
    said = asked(browser, page)
    assert "Granted: Graph takes mail for gateway@contoso.test." in said
    assert "for every mailbox of the tenant" in said
    assert "Not granted: mail of more than 3 MB" in said
    assert len(microsoft.deliveries()) == before


def test_a_mailbox_by_mailbox_grant_is_told_from_one_for_the_tenant(office, page, browser, microsoft):
    from sandbox.world import RBAC_CLIENT

    AppRegistration.objects.update(client_id=RBAC_CLIENT, secret="sandbox-secret-rbac")
    assert "granted by mailbox" in asked(browser, page)


def test_what_is_missing_is_said_with_what_to_do(office, page, browser):
    Mailbox.objects.update(address="nobody@contoso.test")
    assert "Fix it" in asked(browser, page)
    AppRegistration.objects.update(secret="wrong")
    said = asked(browser, page)
    assert "No token" in said
    assert "AADSTS7000215" in said


def test_drafts_are_told_where_the_token_names_them(office, page, browser, microsoft):
    microsoft.world(apps={CLIENT: {"roles": ["Mail.Send", "Mail.ReadWrite"]}})
    try:
        assert "Granted (in the token)" in asked(browser, page)
    finally:
        microsoft.world(apps={CLIENT: {"roles": ["Mail.Send"]}})


# --- The test mail -------------------------------------------------------------------------------------


@pytest.fixture
def counter():
    """What takes mail by HTTP in this process, as the web has it."""
    with ExitStack() as ending:

        def context():
            watch, acceptor = ConfigurationWatch(), Acceptor()
            ending.callback(watch.stop)
            ending.callback(acceptor.close)
            return Context(SmtpOptions(hostname="gateway.test"), watch, acceptor)

        ending.callback(injection.provide, None)
        made = injection.beside_no_listener(context)
        injection.provide(made)
        yield made


def wish_of(shown: str) -> str:
    return re.search(r'name="test_id" value="([^"]+)"', shown)[1]


def test_a_test_mail_goes_into_the_queue_and_its_outcome_stands_on_the_page(office, page, browser, counter):
    dsn_request = wish_of(browser.get(page).content.decode())
    form = {"step": "test", "recipient": "anna@example.org", "test_id": dsn_request}

    answer = browser.post(page, form)
    browser.post(page, form)

    message = Message.objects.get()
    assert (message.sender, message.mail_from) == (office, "gateway@contoso.test")
    assert message.recipients.get().address == "anna@example.org"
    shown = browser.get(answer["Location"]).content.decode()
    assert 'http-equiv="refresh"' in shown
    assert "It waits for" in shown
    assert origin.told(message) == "A test mail, asked for by root from 127.0.0.1."

    make_attempt(message, outcome="sent", http_status=202, sentence="Graph accepted it.", duration_ms=700)
    Message.objects.update(state=State.SENT)
    Delivery.objects.update(state=State.SENT)
    shown = browser.get(answer["Location"]).content.decode()
    assert 'http-equiv="refresh"' not in shown
    assert "Graph accepted it." in shown
    assert "0.70 s" in shown


def test_a_page_that_was_written_by_hand_is_refused_with_a_sentence(office, page, browser, counter):
    form = {
        "step": "test",
        "recipient": "anna@example.org",
        "test_id": "ffffffff-ffff-7fff-8fff-ffffffffffff",
    }
    assert "Load the page again" in browser.post(page, form).content.decode()
    assert not Message.objects.exists()


def test_a_test_mail_that_is_refused_says_why(office, page, browser, counter):
    form = {"step": "test", "recipient": "anna@x@y", "test_id": wish_of(browser.get(page).content.decode())}
    assert "Enter a valid email address" in browser.post(page, form).content.decode()

    browser.post(page, form | {"recipient": "anna@example.org"})
    shown = browser.post(page, form | {"recipient": "berta@example.org"}).content.decode()
    assert "The test mail was refused: 554 5.5.4" in shown
    assert Message.objects.count() == 1


def test_a_test_mail_goes_by_the_sender_of_the_page_where_another_has_the_same_mailbox(
    office, browser, counter
):
    SenderConfig.objects.update(is_default=True)
    second = make_sender(office.mailbox.registration, name="invoices", address="gateway@contoso.test")
    page = f"/admin/mailrelay/senderconfig/{second.pk}/at-work/"
    form = {
        "step": "test",
        "recipient": "anna@example.org",
        "test_id": wish_of(browser.get(page).content.decode()),
    }

    answer = browser.post(page, form)

    assert Message.objects.get().sender == second
    assert "It waits for" in browser.get(answer["Location"]).content.decode()


@pytest.mark.parametrize(
    ("model", "whose"), [(SenderConfig, "This sender"), (AppRegistration, "The app registration")]
)
def test_a_sender_that_is_off_sends_no_test_mail_by_another(office, page, browser, counter, model, whose):
    form = {
        "step": "test",
        "recipient": "anna@example.org",
        "test_id": wish_of(browser.get(page).content.decode()),
    }
    other = make_registration(name="other")
    make_sender(other, name="default", is_default=True)
    model.objects.filter(name__in=(office.name, office.mailbox.registration.name)).update(active=False)

    shown = browser.post(page, form).content.decode()

    assert whose in shown and "a test mail neither" in shown and "Send a test mail" not in shown
    assert not Message.objects.exists()


def test_a_test_mail_of_a_paused_sender_is_held_and_the_page_says_so(office, page, browser, counter):
    browser.post(page, {"step": "pause", "reason": "Wrong invoices"})
    shown = browser.get(page).content.decode()
    assert "a test mail is accepted and held" in shown
    form = {"step": "test", "recipient": "anna@example.org", "test_id": wish_of(shown)}
    assert browser.post(page, form).status_code == 302
    assert Message.objects.count() == 1
