"""The person on call finds a failed mail, reads why, fixes it and sees the mail go, once."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

MESSAGES = "/admin/mailrelay/message/"


def find(page: Page, text: str) -> None:
    page.goto(MESSAGES)
    page.get_by_role("searchbox", name="Search").fill(text)
    page.keyboard.press("Enter")
    page.wait_for_url("**/message/?*q=*")


def until(page: Page, locator, deadline: float = 60) -> None:
    """Load the page again until `locator` is on it."""

    def there() -> bool:
        page.reload()
        return locator.count() > 0

    eventually(there, deadline, f"{locator} on {page.url}")


def confirm(page: Page, action: str, why: str = "The owner asked for it") -> None:
    page.get_by_role("link", name=action, exact=True).click()
    page.get_by_label("Why").fill(why)
    page.get_by_role("button", name=action, exact=True).click()
    expect(page.locator("ul.messagelist")).to_be_visible()


def test_a_failed_mail_is_found_understood_mended_and_seen_sent(opened, installation):
    before = len(installation.sandbox.deliveries())
    send(
        installation.smtp_port,
        mail(
            "scan",
            From="scan@contoso.test",
            Subject="Scan of the lease",
            Message_ID="<lease.17@scanner.test>",
        ),
        mail_from="scan@contoso.test",
    )
    page = opened()
    sign_in(page, "ada")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Messages").click()
    find(page, "<lease.17@scanner.test>")
    until(page, page.locator("#result_list .badge.bad"))
    page.get_by_role("link", name="Scan of the lease").click()
    expect(page.get_by_text("may not send with the From address of this message").first).to_be_visible()
    expect(page.get_by_text("set the From policy to rewrite").first).to_be_visible()
    message = page.url

    page.get_by_role("link", name="Scanners").click()
    page.get_by_label("Rewrite it: From becomes the mailbox").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("ul.messagelist .success")).to_be_visible()

    page.goto(message)
    confirm(page, "Try again now")
    until(page, page.locator(".headline .badge.good"))
    (delivered,) = installation.sandbox.wait_for_deliveries(before + 1)[before:]
    assert delivered["subject"] == "Scan of the lease"
    expect(page.get_by_text("The owner asked for it")).to_be_visible()


def test_a_double_click_on_resend_sends_one_more_copy(page, installation):
    before = len(installation.sandbox.deliveries())
    send(installation.smtp_port, mail("twice", Subject="Once more, please"))
    installation.sandbox.wait_for_deliveries(before + 1)
    find(page, "test-twice@app.test")
    page.get_by_role("link", name="Once more, please").click()
    until(page, page.get_by_role("link", name="Send once more"))

    page.get_by_role("link", name="Send once more").click()
    page.get_by_label("Why").fill("The recipient lost it")
    page.get_by_role("button", name="Send once more").dblclick()

    expect(page.locator("ul.messagelist")).to_be_visible()
    installation.sandbox.wait_for_deliveries(before + 2)
    until(page, page.locator(".headline .badge.good"))
    send(installation.smtp_port, mail("last"))  # what comes behind shows that no third copy was on its way
    found = installation.sandbox.wait_for_deliveries(before + 3)[before:]
    assert [one["subject"] for one in found] == ["Once more, please"] * 2 + ["mail last"]
