"""A secret or certificate is tried before it is stored, rolled back or retired; and never shown."""

import time

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile

from mailrelay.console import sealing
from mailrelay.models import AppRegistration, AuditEvent, Mailbox
from mailrelay.vocabulary import ManagedBy
from tests.console.asking import sealed_in
from tests.console.rows import CLIENT, TENANT, make_registration, make_sender
from tests.credentials.conftest import NewCredential

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "Unm1stakable~new.value"


@pytest.fixture
def app(db, microsoft, at_microsoft):
    microsoft.world(apps={CLIENT: {"secrets": [NEW]}})
    row = make_registration(secret="the-old-secret", **at_microsoft)
    make_sender(row, address="gateway@contoso.test")
    return row


@pytest.fixture
def page(app):
    return f"/admin/mailrelay/appregistration/{app.pk}/rotation/"


def tried(browser, page, **entered):
    return browser.post(page, {"step": "check", **entered})


def saved(browser, page, answer, **more):
    return browser.post(page, {"step": "save", "sealed": sealed_in(answer), **more}, follow=True)


def stored():
    row = AppRegistration.objects.get()
    return row.secret, row.next_secret, row.version


def test_a_right_secret_shows_what_it_opens_and_is_stored_on_the_second_press(browser, app, page):
    answer = tried(browser, page, secret=NEW, ends_on="2099-12-31")
    text = answer.content.decode()
    assert "Store it and switch" in text
    for fact in (TENANT, CLIENT, "Mail.Send", "gateway@contoso.test", "Takes mail", "31 Dec 2099"):
        assert fact in text, fact
    assert stored() == ("the-old-secret", "", 1)

    told = saved(browser, page, answer).content.decode()

    assert stored() == ("the-old-secret", NEW, 2)
    assert "Retire the older one" in told


def test_a_wrong_secret_is_stored_by_an_explicit_override_alone(browser, app, page):
    answer = tried(browser, page, secret="wrong-secret-value")
    assert "did not pass the trial" in answer.content.decode()
    assert "AADSTS7000215" in answer.content.decode()

    refused = saved(browser, page, answer)
    assert "Tick the box" in refused.content.decode()
    assert stored() == ("the-old-secret", "", 1)

    saved(browser, page, answer, override="yes")
    assert stored() == ("the-old-secret", "wrong-secret-value", 2)


def test_a_secret_that_opens_no_mailbox_does_not_pass(browser, app, page):
    Mailbox.objects.update(address="nobody@contoso.test")
    text = tried(browser, page, secret=NEW).content.decode()
    assert "Refuses mail" in text
    assert "Store it all the same" in text


def test_a_mailbox_that_was_held_before_is_not_the_secrets_fault(browser, app, page):
    Mailbox.objects.update(address="nobody@contoso.test", blocked="mailbox_unknown")
    text = tried(browser, page, secret=NEW).content.decode()
    assert "Its mail was held for this before" in text
    assert "Store it and switch" in text


def test_no_secret_is_shown_nor_kept_anywhere_else(browser, app, page, caplog):
    caplog.set_level("DEBUG")
    answer = tried(browser, page, secret=NEW)
    pages = [answer, saved(browser, page, answer), browser.get(page)]
    pages += [
        browser.get(f"/admin/mailrelay/appregistration/{app.pk}/{name}/") for name in ("change", "history")
    ]
    assert "no-store" in pages[0]["Cache-Control"]
    assert "the newer" in pages[1].content.decode().lower()
    for shown in pages:
        assert NEW not in shown.content.decode()
    for row in Session.objects.all():
        assert NEW not in str(row.get_decoded())
    history = [(entry.change_message, entry.object_repr) for entry in LogEntry.objects.all()]
    audit = list(AuditEvent.objects.values_list("action", "target", "detail"))
    assert "newer client secret" in str(history)
    assert NEW not in str(history) + str(audit) + caplog.text


def test_two_presses_store_once(browser, app, page):
    answer = tried(browser, page, secret=NEW)
    saved(browser, page, answer)
    again = saved(browser, page, answer)
    assert "was done already" in again.content.decode()
    assert stored() == ("the-old-secret", NEW, 2)


def test_what_was_sealed_counts_for_ten_minutes_and_for_one_person(
    browser, app, page, monkeypatch, django_user_model, client
):
    answer = tried(browser, page, secret=NEW)
    other = django_user_model.objects.create(username="other", is_staff=True, is_superuser=True)
    client.force_login(other)
    assert "Enter it once more" in saved(client, page, answer).content.decode()
    later = time.time() + sealing.LIFETIME + 1
    monkeypatch.setattr(sealing.time, "time", lambda: later)
    assert "Enter it once more" in saved(browser, page, answer).content.decode()
    assert stored() == ("the-old-secret", "", 1)


def test_the_older_one_is_retired_or_returned_to(browser, app, page):
    saved(browser, page, tried(browser, page, secret=NEW))
    browser.post(page, {"step": "roll_back", "version": "2"})
    assert stored() == ("the-old-secret", "", 3)

    saved(browser, page, tried(browser, page, secret=NEW))
    AppRegistration.objects.update(secret_in_use="next_secret")
    browser.post(page, {"step": "retire", "version": "4"})
    assert stored() == (NEW, "", 5)


@pytest.mark.parametrize("in_use", ["", "secret"])
def test_the_older_one_is_not_retired_unseen_while_it_may_be_the_only_one_that_works(
    browser, app, page, in_use
):
    saved(browser, page, tried(browser, page, secret=NEW))
    AppRegistration.objects.update(secret_in_use=in_use)
    told = browser.post(page, {"step": "retire", "version": "2"}, follow=True).content.decode()
    assert "Nothing was retired" in told
    assert stored() == ("the-old-secret", NEW, 2)

    browser.post(page, {"step": "retire", "version": "2", "override": "yes"})
    assert stored() == (NEW, "", 3)


@pytest.mark.parametrize("form", ["pem", "file", "pfx"])
def test_a_certificate_is_tried_in_each_form_that_people_have_it_in(browser, app, page, microsoft, form):
    proof = NewCredential()
    microsoft.world(apps={CLIENT: {"certificates": [proof.public]}})
    pem = proof.private + proof.public
    entered = {
        "pem": {"certificate": pem},
        "file": {"file": SimpleUploadedFile("gateway.pem", pem.encode())},
        "pfx": {"file": SimpleUploadedFile("gateway.pfx", proof.pfx("word")), "password": "word"},
    }[form]

    answer = tried(browser, page, **entered)
    assert "Store it and switch" in answer.content.decode()
    assert f"{proof.certificate.not_valid_after_utc:%b %Y}" in answer.content.decode()
    saved(browser, page, answer)
    browser.post(page, {"step": "retire", "version": "2", "override": "yes"})

    row = AppRegistration.objects.get()
    assert (row.kind, row.secret, row.certificate_expires_at) == (
        "certificate",
        "",
        proof.certificate.not_valid_after_utc,
    )


@pytest.mark.parametrize(
    ("entered", "sentence"),
    [
        ({}, "one of the three"),
        ({"secret": "a", "certificate": "PRIVATE KEY----- BEGIN CERTIFICATE"}, "one of the three"),
        ({"secret": CLIENT}, "the id of a secret"),
        ({"certificate": NewCredential().public}, "Paste private key and certificate"),
        (
            {"certificate": NewCredential().private + NewCredential().public},
            "no certificate for its private key",
        ),
        ({"certificate": NewCredential(days=0).private}, "Paste private key and certificate"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_a_sentence(browser, app, page, entered, sentence):
    assert sentence in tried(browser, page, **entered).content.decode()


def test_rows_of_others_and_people_without_the_right_are_refused(browser, reader, app, page):
    assert reader.get(page).status_code == 403
    AppRegistration.objects.update(managed_by=ManagedBy.FILE)
    assert browser.get(page).status_code == 403
    assert tried(browser, page, secret=NEW).status_code == 403


def test_the_form_of_a_row_takes_no_secret(browser, app):
    from tests.console.test_configuration import registration_form

    form = registration_form(new_secret="unchecked", authority_host=app.authority_host)
    form["graph_endpoint"] = app.graph_endpoint
    browser.post(f"/admin/mailrelay/appregistration/{app.pk}/change/", form)
    assert stored() == ("the-old-secret", "", 1)
