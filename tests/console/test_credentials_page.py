"""Stored certificates and clouds through the admin; and content that is gone."""

import pytest

from mailrelay.models import AppRegistration, Message
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import State
from tests.console.asking import add_registration
from tests.console.rows import make_message
from tests.console.test_configuration import ADMIN, NOWHERE, registration_form
from tests.credentials.conftest import NewCredential

pytestmark = pytest.mark.django_db(transaction=True)


def post(browser, registration, **changes):
    url = f"{ADMIN}appregistration/{registration.pk}/change/"
    return browser.post(url, registration_form(**changes), follow=True)


def test_a_certificate_of_a_new_row_is_pasted_and_never_shown(browser, at_nowhere):
    proof = NewCredential()
    form = registration_form(kind="certificate", new_certificate=proof.private + proof.public, **NOWHERE)
    page = add_registration(browser, form)

    row = AppRegistration.objects.get()
    assert row.kind == "certificate"
    assert row.certificate.strip() == (proof.private + proof.public).strip()
    assert b"PRIVATE KEY-----" not in page.content


def test_a_certificate_without_its_key_is_refused(browser):
    form = registration_form(kind="certificate", new_certificate=NewCredential().public)
    page = browser.post(f"{ADMIN}appregistration/add/", form)

    assert "Paste private key and certificate" in page.content.decode()
    assert not AppRegistration.objects.exists()


def test_a_cloud_sets_the_addresses(browser, registration):
    post(browser, registration, cloud="us_government")

    row = AppRegistration.objects.get()
    assert (row.authority_host, row.graph_endpoint) == (
        "https://login.microsoftonline.us",
        "https://graph.microsoft.us",
    )


def test_a_message_whose_content_is_gone_says_so_and_offers_neither_file_nor_resend(browser, sender):
    message = make_message(sender, state=State.FAILED)
    Message.objects.update(content_removed_at=clock.now())
    page = f"{ADMIN}message/{message.pk}/"

    shown = browser.get(page, follow=True).content.decode()
    assert "The content was removed" in shown
    assert "Try again now" not in shown
    answer = browser.get(f"{page}raw/", follow=True)
    assert "has been removed" in answer.content.decode()
    assert answer["Content-Type"].startswith("text/html")
