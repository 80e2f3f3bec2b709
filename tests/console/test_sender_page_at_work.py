"""The page of a sender before a whole gateway: a test mail's outcome, a pause that holds, a resumption."""

import re

from tests.console.office import OLD, Browser, prepare
from tests.console.rows import CLIENT
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send


def sent_from(browser: Browser, page: str, recipient: str) -> str:
    """Send a test mail; return the address of the page that tells its outcome."""
    dsn_request = re.search(r'name="test_id" value="([^"]+)"', browser.get(page))[1]
    shown = browser.post(page, {"step": "test", "recipient": recipient, "test_id": dsn_request})
    return f"{page}?test={re.search(r'/message/([0-9a-f-]+)/', shown)[1]}"


def test_a_test_mail_tells_its_outcome_and_a_pause_holds_until_it_is_resumed(embedded, tmp_path):
    embedded.sandbox.world(apps={CLIENT: {"secrets": [OLD]}})
    prepare(embedded, tmp_path)
    gateway = embedded.start()
    browser = Browser(gateway.http_port)
    ((pk,),) = rows(embedded.environment, "SELECT id FROM mailrelay_senderconfig")
    page = f"/admin/mailrelay/senderconfig/{pk}/at-work/"

    outcome = sent_from(browser, page, "anna@example.org")
    eventually(lambda: "Microsoft accepted it" in browser.get(outcome), 60, "the outcome on the page")
    assert 'http-equiv="refresh"' not in browser.get(outcome)
    assert [found["recipients"] for found in embedded.delivered()] == [["anna@example.org"]]

    browser.post(page, {"step": "pause", "reason": "Wrong invoices"})
    send(gateway.smtp_port, mail(1))
    outcome = sent_from(browser, page, "berta@example.org")
    eventually(lambda: "until somebody resumes the sender" in browser.get(outcome), 60, "the mail being held")
    embedded.wait_for(sent=1, held=2)
    assert len(embedded.delivered()) == 1

    browser.post(page, {"step": "resume"})
    embedded.wait_for(sent=3)
    eventually(lambda: "Microsoft accepted it" in browser.get(outcome), 60, "the outcome on the page")
