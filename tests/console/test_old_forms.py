"""A form that was opened before somebody else's change undoes nothing of it."""

import re

import pytest

from mailrelay.models import AppRegistration, Mailbox, Recipient, SenderConfig, SmtpClient
from mailrelay.vocabulary import State
from tests.console.asking import asked, press
from tests.console.rows import make_message
from tests.console.test_configuration import ADMIN, registration_form

pytestmark = pytest.mark.django_db(transaction=True)


def form_on(page: str) -> dict[str, str]:
    """What pressing Save sends of a page's fields, as they are."""
    form = {"seen": re.search(r'name="seen" value="([^"]+)"', page)[1]}
    for tag in re.findall(r"<input [^>]+>", page):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        ticked = found.get("type") not in {"checkbox", "radio"} or " checked" in tag
        if ticked and found.get("name") and found["name"] not in {"csrfmiddlewaretoken", "q"}:
            form[found["name"]] = found.get("value", "")
    for name, text in re.findall(r'<textarea name="(\w+)"[^>]*>\s*(.*?)</textarea>', page, re.DOTALL):
        form[name] = text
    for name, options in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        form[name] = chosen[1] if chosen else ""
    return form


def test_a_colleagues_change_is_not_undone_by_saving_what_was_opened_before_it(browser, sender):
    page = f"{ADMIN}senderconfig/{sender.pk}/change/"
    mine = form_on(browser.get(page).content.decode())
    theirs = {name: text for name, text in mine.items() if name != "active"}
    assert browser.post(page, theirs).status_code == 302

    answer = browser.post(page, mine | {"name": "renamed"}).content.decode()

    assert "Nothing was stored: “Active” changed since you opened this page." in answer
    row = SenderConfig.objects.get()
    assert (row.name, row.active) == ("office", False)
    # Pressing again on the page with the sentence is no way round it.
    assert "Nothing was stored" in browser.post(page, form_on(answer)).content.decode()
    fresh = form_on(browser.get(page).content.decode())
    assert browser.post(page, fresh | {"name": "renamed"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.active) == ("renamed", False)


def test_every_screen_of_the_configuration_saves_what_it_showed(browser, sender):
    client = SmtpClient.objects.create(name="erp", networks="192.0.2.7", urgency=1)
    rows = {"senderconfig": sender, "mailbox": sender.mailbox, "smtpclient": client}
    for name, row in {**rows, "appregistration": sender.mailbox.registration}.items():
        page = f"{ADMIN}{name}/{row.pk}/change/"
        form = form_on(browser.get(page).content.decode())
        assert browser.post(page, form).status_code == 302, name


def test_what_the_queue_learns_of_a_mailbox_is_a_change_too(browser, sender):
    page = f"{ADMIN}mailbox/{sender.mailbox_id}/change/"
    form = form_on(browser.get(page).content.decode())
    Mailbox.objects.update(messages_per_minute=7)
    assert "Nothing was stored" in browser.post(page, form).content.decode()
    assert Mailbox.objects.get().messages_per_minute == 7


def test_a_form_without_what_it_showed_is_taken_as_it_is(browser, registration):
    page = f"{ADMIN}appregistration/{registration.pk}/change/"
    assert browser.post(page, registration_form(name="renamed")).status_code == 302
    assert AppRegistration.objects.get().name == "renamed"


def test_a_forward_to_another_address_after_going_back_is_another_wish(browser, sender):
    message = make_message(sender, state=State.SENT)
    form = asked(browser, message, "forward")
    for recipient in ("typo@example.org", "right@example.org", "RIGHT@example.org"):
        press(browser, message, "forward", form | {"recipient": recipient})
    forwarded = Recipient.objects.exclude(message=message).order_by("address")
    assert [row.address for row in forwarded] == ["right@example.org", "typo@example.org"]
