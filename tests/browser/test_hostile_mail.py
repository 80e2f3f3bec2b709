"""A hostile mail does nothing to its reader: no script, no dialog, no request elsewhere."""

from email.message import EmailMessage

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Incidents
from tests.browser.test_a_mail_that_never_came import find, until
from tests.harness.ports import eventually
from tests.harness.processes import send

SCRIPT = "<script>alert('{0}')</script><img src=x onerror=\"alert('{0}')\">"


def hostile(elsewhere: str) -> EmailMessage:
    def script(place: str) -> str:
        return SCRIPT.format(place) + f"<img src='{elsewhere}/{place}'>"

    mail = EmailMessage()
    mail["From"], mail["To"] = "\"<script>alert('from')</script>\" <app@contoso.test>", "ann@example.org"
    mail["Subject"] = script("subject")
    mail["Message-ID"] = "<hostile.1@app.test>"
    mail["X-Note"] = script("header")
    mail["List-Unsubscribe"] = f"<javascript:alert(1)>, <{elsewhere}/unsubscribe>"
    mail.set_content(script("text"))
    mail.add_alternative(
        f"""<html><head><base href="{elsewhere}/">
        <meta http-equiv="refresh" content="0;url={elsewhere}/refresh">
        <link rel="stylesheet" href="{elsewhere}/sheet"><link rel="prefetch" href="{elsewhere}/prefetch">
        <style>@import url({elsewhere}/import); body {{ background: url({elsewhere}/background) }}
        @font-face {{ font-family: x; src: url({elsewhere}/font) }} p {{ font-family: x }}</style></head>
        <body onload="alert('onload')"><p id="said">As it was sent</p>{script("html")}
        <svg onload="alert('svg')"><image href="{elsewhere}/svg"/></svg>
        <video src="{elsewhere}/video" autoplay></video>
        <iframe src="{elsewhere}/frame"></iframe><object data="{elsewhere}/object"></object>
        <a id="out" href="javascript:parent.alert('link')">here</a>
        <a id="top" target="_top" href="{elsewhere}/top">there</a><form action="{elsewhere}/form">
        <input autofocus onfocus="alert('focus')">
        <button id="send">Send</button></form><script src="{elsewhere}/script"></script></body></html>""",
        subtype="html",
    )
    mail.add_attachment(b"<script>alert('file')</script>", "text", "html", filename=f"{script('name')}.html")
    return mail


@pytest.fixture
def message(page, installation, outside):
    """Open the page of the hostile mail."""
    send(installation.smtp_port, hostile(outside.url))
    find(page, "hostile.1@app.test")
    until(page, page.locator("#result_list .badge.good"))
    page.locator("#result_list").get_by_role("link", name="<script>alert('subject')").first.click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    return page


def test_nothing_in_a_stored_mail_runs_or_leads_elsewhere(message, outside):
    page = message
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>alert('subject')</script>")
    page.get_by_role("link", name="View content").click()
    frame = page.frame_locator("iframe.preview")
    expect(frame.locator("#said")).to_have_text("As it was sent")
    page.get_by_text("Show how it begins").click()
    for name in ("#out", "#top", "#send"):
        frame.locator(name).click(no_wait_after=True)
    with page.expect_download() as download:
        page.locator(".recipients a[download]").click()
    assert "<script>alert('file')</script>" in download.value.path().read_text()
    assert set(download.value.suggested_filename).isdisjoint("/\\")
    # The page by itself, in a window of its own, is as harmless as in its frame.
    page.goto(page.locator("iframe.preview").get_attribute("src"))
    expect(page.locator("#said")).to_have_text("As it was sent")
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    assert outside.asked == []


def test_the_watch_would_notice(people, outside):
    """Without the policy, the same HTML runs and asks elsewhere: the test above can fail."""
    incidents = Incidents()
    with people.context() as context:
        incidents.watch(context)
        page = context.new_page()
        page.set_content(f"<img src='{outside.url}/pixel'><script>alert('here')</script>", wait_until="load")
        page.goto("/admin/login/")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=//elsewhere.test/x>')")
        eventually(lambda: page.title() and len(incidents.found) > 1, what="the report of the breach")
    dialog, *breaches = incidents.found
    assert dialog == "a dialog: here"
    assert any("img-src http://elsewhere.test/x" in breach for breach in breaches)
    assert outside.asked == ["/pixel"]
