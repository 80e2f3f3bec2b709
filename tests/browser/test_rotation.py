"""A secret is replaced at the page: a wrong one does not pass, a right one is switched to, mail goes on."""

from playwright.sync_api import expect

from tests.browser.stock import NEW
from tests.browser.test_a_mail_that_never_came import find, until
from tests.harness.processes import mail, send


def test_a_wrong_secret_does_not_pass_and_a_right_one_is_switched_to(page, installation):
    page.goto("/admin/mailrelay/appregistration/")
    page.get_by_role("link", name="Contoso billing").click()
    page.get_by_role("link", name="Replace the secret or certificate").click()
    form = page.url

    page.get_by_label("Client secret").fill("a-wrong-secret")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("did not pass the trial, and nothing has been stored")).to_be_visible()
    expect(page.get_by_text("Refused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Store it all the same").click()
    # The browser keeps the form back until the box is ticked.
    expect(page.get_by_role("checkbox")).to_be_focused()

    page.get_by_role("link", name="Enter another").click()
    page.get_by_label("Client secret").fill(NEW)
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("works. Nothing has been stored yet")).to_be_visible()
    expect(page.get_by_text("Takes mail")).to_be_visible()
    assert NEW not in page.content()
    page.get_by_role("button", name="Store it and switch").click()
    expect(page.get_by_role("button", name="Retire the older one")).to_be_visible()

    before = len(installation.sandbox.deliveries())
    billed = mail("bill", From="billing@contoso.test", Subject="Invoice 17")
    send(installation.smtp_port, billed, mail_from="billing@contoso.test")
    installation.sandbox.wait_for_deliveries(before + 1)
    page.goto(form)
    until(page, page.get_by_text("The newer client secret", exact=True))
    page.get_by_role("button", name="Retire the older one").click()
    expect(page.locator("ul.messagelist .success")).to_contain_text("Retired")
    find(page, "test-bill@app.test")
    until(page, page.locator("#result_list .badge.good"))
