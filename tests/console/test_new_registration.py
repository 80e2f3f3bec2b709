"""What a new app registration proves itself with is tried before anything is stored."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from mailrelay.models import AppRegistration, AuditEvent
from tests.console.asking import add_registration, sealed_in
from tests.console.rows import CLIENT, TENANT
from tests.console.test_configuration import ADMIN, errors, registration_form
from tests.credentials.conftest import NewCredential

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = f"{ADMIN}appregistration/add/"
RIGHT = "Unm1stakable~first.value"


@pytest.fixture
def form(microsoft, at_microsoft):
    microsoft.world(apps={CLIENT: {"secrets": [RIGHT]}})
    return registration_form(new_secret=RIGHT, secret_expires_on="2099-12-31", **at_microsoft)


def test_a_right_secret_shows_what_it_opens_and_is_stored_on_the_second_press(browser, form):
    text = browser.post(PAGE, form).content.decode()
    for fact in ("The client secret works", TENANT, CLIENT, "Mail.Send", "31 Dec 2099", "Store it<"):
        assert fact in text, fact
    assert not AppRegistration.objects.exists()

    add_registration(browser, form)

    row = AppRegistration.objects.get()
    assert (row.name, row.secret, row.version) == ("contoso", RIGHT, 1)
    assert LogEntry.objects.get().get_change_message() == "Added."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"new_secret": "wrong-secret-value"}, "AADSTS7000215"),
        ({"tenant_id": "99999999-9999-9999-9999-999999999999"}, "AADSTS90002"),
        ({"authority_host": "https://127.0.0.1:9"}, "did not pass the trial"),
    ],
)
def test_what_gets_no_token_is_stored_by_an_explicit_override_alone(browser, form, change, reason, settings):
    settings.AZURE_AUTHORITY_HOST = change.get("authority_host", form["authority_host"])
    answer = browser.post(PAGE, form | change)
    assert reason in answer.content.decode()
    step = {"step": "save", "sealed": sealed_in(answer)}

    assert "Tick the box" in browser.post(PAGE, step, follow=True).content.decode()
    assert not AppRegistration.objects.exists()

    browser.post(PAGE, step | {"override": "yes"})
    assert AppRegistration.objects.get().secret == change.get("new_secret", RIGHT)
    told = "Added, with a client secret, although its trial failed."
    assert LogEntry.objects.get().get_change_message() == told
    assert AuditEvent.objects.filter(detail__contains=told).exists()


def test_a_certificate_is_tried_and_its_end_is_kept(browser, microsoft, form):
    proof = NewCredential()
    microsoft.world(apps={CLIENT: {"certificates": [proof.public]}})
    form = form | {"new_secret": "", "kind": "certificate", "new_certificate": proof.private + proof.public}
    assert "The certificate works" in browser.post(PAGE, form).content.decode()
    add_registration(browser, form)
    row = AppRegistration.objects.get()
    assert (row.kind, row.certificate_expires_at) == ("certificate", proof.certificate.not_valid_after_utc)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"new_secret": CLIENT}, "the id of a secret"),
        (
            {"kind": "certificate", "new_certificate": NewCredential().private + NewCredential().public},
            "no certificate for its private key",
        ),
    ],
)
def test_what_cannot_be_tried_is_refused_with_a_sentence(browser, form, change, sentence):
    assert sentence in errors(browser.post(PAGE, form | change))


def test_what_lies_with_the_workers_is_theirs_to_try(browser, form):
    form = form | {"new_secret": "", "kind": "certificate", "certificate_path": "/run/gateway.pem"}
    browser.post(PAGE, form)
    assert AppRegistration.objects.get().certificate_path == "/run/gateway.pem"


def test_no_secret_is_shown_nor_kept_anywhere_else(browser, form, caplog):
    caplog.set_level("DEBUG")
    answer = browser.post(PAGE, form)
    again = unescape(re.search(r'href="([^"]*)">Enter another', answer.content.decode())[1])
    entered = browser.get(PAGE + again)
    pages = [answer, entered, browser.post(PAGE, {"step": "save", "sealed": sealed_in(answer)}, follow=True)]
    assert "no-store" in answer["Cache-Control"]
    assert f'value="{CLIENT}"' in entered.content.decode()
    for shown in pages:
        assert RIGHT not in shown.content.decode() + str(shown.redirect_chain if shown is pages[2] else "")
    assert RIGHT not in again
    assert RIGHT not in str([row.get_decoded() for row in Session.objects.all()])
    assert RIGHT not in str(list(AuditEvent.objects.values())) + str(list(LogEntry.objects.values()))
    assert RIGHT not in caplog.text


def test_what_was_tried_is_stored_by_nobody_else_and_only_once(browser, form, django_user_model, client):
    step = {"step": "save", "sealed": sealed_in(browser.post(PAGE, form))}
    client.force_login(django_user_model.objects.create(username="o", is_staff=True, is_superuser=True))
    assert "Enter it once more" in client.post(PAGE, step, follow=True).content.decode()
    assert not AppRegistration.objects.exists()
    browser.post(PAGE, step)
    assert "already exists" in errors(browser.post(PAGE, step))
    assert AppRegistration.objects.count() == 1


def test_nobody_tries_a_secret_who_may_not_add_a_registration(reader, form, microsoft):
    before = microsoft.stats()
    assert reader.post(PAGE, form).status_code == 403
    assert microsoft.stats() == before
