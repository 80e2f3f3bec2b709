"""The pages by keyboard alone, and held against axe-core's rules in the light, in the dark and on a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_a_mail_that_never_came import find, until
from tests.clients.drivers import needed
from tests.harness.processes import ROOT, mail, send

AXE = ROOT / ".venv/tools/clients/node/node_modules/axe-core/axe.min.js"
#: What the law asks of public bodies (EN 301 549), and what axe-core calls best practice.
RUN = """async () => {
    const found = await axe.run(document, {iframes: false, resultTypes: ["violations"]});
    return found.violations.map(rule => rule.id + ": " + rule.help + ": "
        + rule.nodes.map(node => node.html.slice(0, 160)).slice(0, 5).join(" | "));
}"""
TOO_WIDE = "document.scrollingElement.scrollWidth > window.innerWidth"
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SCREENS = {
    "overview": "/admin/",
    "messages": "/admin/mailrelay/message/",
    "messages, no stretch of time": "/admin/mailrelay/message/?from=2027-03-31T10:00&until=2027-03-31T09:00",
    "senders": "/admin/mailrelay/senderconfig/",
    "a sender": "/admin/mailrelay/senderconfig/2/change/",
    "a sender at work": "/admin/mailrelay/senderconfig/2/at-work/",
    "app registrations": "/admin/mailrelay/appregistration/",
    "rotation": "/admin/mailrelay/appregistration/1/rotation/",
    "clients": "/admin/mailrelay/smtpclient/",
    "a new client": "/admin/mailrelay/smtpclient/add/",
    "refusals": "/admin/mailrelay/refusal/",
    "alerts": "/admin/mailrelay/alert/",
    "second factor": "/admin/second-factor/",
}


def judged(page: Page, axe: Path) -> list[str]:
    """Hold the page that is open against the rules, in each size and colour; list what breaks them."""
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = []
    for name, size in SIZES.items():
        page.set_viewport_size(size)
        for colour in ("light", "dark"):
            page.emulate_media(color_scheme=colour)
            found += [f"{name}, {colour}: {breach}" for breach in page.evaluate(RUN)]
        if page.evaluate(TOO_WIDE):
            found.append(f"{name}: the page is wider than the screen")
    return found


@pytest.fixture(scope="module")
def axe() -> Path:
    return needed(AXE, "scripts/install-test-clients.sh brings it")


@pytest.fixture(scope="module")
def judge(people):
    """A page without the site's own policy, which would take from axe-core what it puts into the page."""
    with people.context("ada", bypass_csp=True) as context:
        yield context.new_page()


@pytest.mark.parametrize("name", SCREENS)
def test_each_screen_can_be_read_by_everybody(judge, axe, name):
    show(judge, SCREENS[name])
    assert judged(judge, axe) == []


def test_no_screen_breaches_its_own_policy(page):
    for path in SCREENS.values():
        show(page, path)


def show(page: Page, path: str) -> None:
    page.set_viewport_size(SIZES["desk"])
    answer = page.goto(path)
    assert answer.ok
    assert page.url.endswith(path)


def test_the_way_in_can_be_read_by_everybody(opened, axe):
    page = opened(bypass_csp=True)
    page.goto("/admin/login/")
    assert judged(page, axe) == []
    page.set_viewport_size(SIZES["desk"])
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errornote")).to_be_visible()
    assert judged(page, axe) == []


def test_a_message_and_what_is_in_it_and_the_question_before_an_act_can_be_read_by_everybody(
    judge, axe, installation
):
    page = judge
    page.set_viewport_size(SIZES["desk"])
    send(installation.smtp_port, mail("read", Subject="Read me"))
    find(page, "test-read@app.test")
    until(page, page.locator("#result_list .badge.good"))
    assert judged(page, axe) == []
    page.set_viewport_size(SIZES["desk"])
    page.get_by_role("link", name="Read me").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    message = page.url
    assert judged(page, axe) == []
    for name in ("Send once more", "View content"):
        show(page, message)
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Send" if "Send" in name else "Read me")
        assert judged(page, axe) == []


def tab_to(page: Page, name: str, most: int = 80) -> None:
    """Press Tab until the element of that name has the focus, and shows it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.locator("*:focus")
        if focused.count() and name in (focused.inner_text() or focused.get_attribute("name") or ""):
            assert focused.evaluate("e => getComputedStyle(e).outlineStyle !== 'none'"), f"{name}: no outline"
            return
    raise AssertionError(f"{most} times Tab never came to {name!r}")


def press(page: Page, name: str, leads_to: str, *, typed: str = "") -> None:
    """Come to the element of that name by Tab, type, press Enter, and wait for the page that follows."""
    tab_to(page, name)
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    page.wait_for_url(leads_to)


def test_a_mail_is_found_and_sent_once_more_without_a_mouse(page, installation):
    before = len(installation.sandbox.deliveries())
    send(installation.smtp_port, mail("keys", Subject="By keyboard"))
    installation.sandbox.wait_for_deliveries(before + 1)
    page.goto("/admin/")
    press(page, "Messages", "**/message/")
    press(page, "q", "**/message/?*q=*", typed="test-keys@app.test")
    until(page, page.locator("#result_list .badge.good"))
    press(page, "By keyboard", "**/change/**")
    press(page, "Send once more", "**/do/resend/**")
    tab_to(page, "why")
    page.keyboard.type("Asked for by telephone")
    page.keyboard.press("Enter")
    expect(page.locator("ul.messagelist .success")).to_be_visible()
    installation.sandbox.wait_for_deliveries(before + 2)
