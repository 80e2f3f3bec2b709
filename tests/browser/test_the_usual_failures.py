"""The usual failures of docs/operating.md, fixed as that page says.

The third, where nothing runs, is none of the browser's: tests/gateway and tests/health have it.
"""

import smtplib

from playwright.sync_api import Page, expect

from tests.browser.stock import NEW
from tests.browser.test_a_mail_that_never_came import find, until
from tests.harness.ports import eventually
from tests.harness.processes import mail, send
from tests.harness.proxied import Behind

HELD, SENT = ".headline .badge.waiting", ".headline .badge.good"


def hand_in(installation, name: str, subject: str) -> None:
    address = f"{name}@contoso.test"
    send(installation.smtp_port, mail(name, From=address, Subject=subject), mail_from=address)


def open_message(page: Page, name: str, subject: str, reason: str) -> str:
    """Find a message that is held for `reason`; return the address of its page."""
    find(page, f"test-{name}@app.test")
    until(page, page.locator("#result_list").get_by_text(reason))
    page.get_by_role("link", name=subject).click()
    expect(page.locator(HELD)).to_be_visible()
    return page.url


def open_sender(page: Page, name: str) -> None:
    page.goto("/admin/")
    page.locator(".health").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name="Test mail")).to_be_visible()


def test_1_a_wrong_secret_is_replaced_and_the_held_mail_goes_by_itself(page, installation):
    hand_in(installation, "billing", "Invoice 17")
    message = open_message(page, "billing", "Invoice 17", "client secret wrong")
    expect(page.get_by_text("AADSTS7000215").first).to_be_visible()
    page.goto("/admin/mailrelay/appregistration/")
    page.get_by_role("link", name="Contoso billing").click()
    page.get_by_role("link", name="Replace the secret or certificate").click()
    rotation = page.url

    page.get_by_label("Client secret").fill("another-wrong-secret")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("did not pass the trial, and nothing has been stored")).to_be_visible()
    expect(page.get_by_text("Refused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Store it all the same").click()
    # The browser keeps the form back until the box is ticked.
    expect(page.get_by_role("checkbox")).to_be_focused()

    page.get_by_role("link", name="Enter another").click()
    page.get_by_label("Client secret").fill(NEW)
    page.get_by_label("The secret ends on").fill("2099-12-31")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("works. Nothing has been stored yet")).to_be_visible()
    expect(page.get_by_text("Takes mail")).to_be_visible()
    assert NEW not in page.content()
    page.get_by_role("button", name="Store it and switch").click()
    expect(page.get_by_role("button", name="Retire the older one")).to_be_visible()

    page.goto(message)
    until(page, page.locator(SENT))
    page.goto(rotation)
    until(page, page.get_by_text("The newer client secret", exact=True))
    page.get_by_role("button", name="Retire the older one").click()
    expect(page.locator("ul.messagelist .success")).to_contain_text("Retired")


def test_2_a_missing_permission_is_seen_at_the_sender_and_noticed_when_it_is_there(page, installation):
    hand_in(installation, "hr", "Payslip")
    message = open_message(page, "hr", "Payslip", "consent missing")
    open_sender(page, "Human resources")
    page.get_by_role("button", name="Ask Microsoft").click()
    expect(page.get_by_text("Fix it")).to_be_visible()

    installation.sandbox.world(mailboxes={"hr@contoso.test": {"state": "normal"}})
    page.get_by_role("button", name="Ask Microsoft").click()
    expect(page.get_by_text("Granted: Graph takes mail for hr@contoso.test.")).to_be_visible()
    page.goto(message)
    page.get_by_role("link", name="hr@contoso.test").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/mailbox/")
    page.goto(message)
    until(page, page.locator(SENT))


def test_4_a_mailbox_without_licence_gives_way_to_another(page, installation):
    hand_in(installation, "events", "Your seat")
    open_message(page, "events", "Your seat", "mailbox without licence")
    page.get_by_role("link", name="Use another sender").click()
    page.get_by_label("Sender").select_option(label="Everything else (gateway@contoso.test)")
    page.get_by_label("Why").fill("Its mailbox has no licence")
    page.get_by_role("button", name="Use another sender").click()
    expect(page.locator("ul.messagelist .success")).to_be_visible()
    until(page, page.locator(SENT))

    hand_in(installation, "events", "Your parking place")
    page.goto("/admin/mailrelay/message/?state=held")
    until(page, page.get_by_role("link", name="Your parking place"))
    page.goto("/admin/mailrelay/senderconfig/")
    page.get_by_role("link", name="Events", exact=True).click()
    page.get_by_role("textbox", name="Mailbox").fill("gateway@contoso.test")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("ul.messagelist")).to_contain_text("Mail that waits follows")


def test_5_a_client_that_was_refused_is_let_in_from_the_list_of_refusals(page, installation):
    def knock() -> int:
        with Behind(installation.proxied, "198.51.100.23", "kiosk.test") as client:
            try:
                client.send_message(mail("kiosk"))
            except smtplib.SMTPRecipientsRefused as refusal:
                return refusal.recipients["ann@example.org"][0]
        return 250

    assert knock() == 550
    page.goto("/admin/mailrelay/refusal/")
    refused = page.get_by_role("row", name="198.51.100.23")
    until(page, refused)
    refused.get_by_role("link", name="Allow").click()
    page.get_by_label("Name of the new client").fill("Kiosk")
    page.get_by_role("button", name="Allow it").click()
    expect(page.locator("ul.messagelist .success")).to_be_visible()

    eventually(lambda: knock() == 250, 60, "the mail of the client")
    find(page, "test-kiosk@app.test")
    until(page, page.locator("#result_list .badge.good"))
