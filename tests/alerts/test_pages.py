"""The pages: what is the matter, who is told, and a test of it."""

import pytest
from django.urls import reverse

from mailrelay.models import AlertChannel, Message
from mailrelay.notify import episodes
from mailrelay.notify.conditions import Finding
from mailrelay.vocabulary import Channel, Condition, Report

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/admin/mailrelay/alertchannel/add/"
GIVEN = {
    "name": "ops",
    "active": "on",
    "conditions": ["held", "expiry"],
    "digest_minutes": "5",
    "address": "",
}


def change(pk) -> str:
    return reverse("admin:mailrelay_alertchannel_change", args=[pk])


def test_a_webhook_is_entered_once_and_never_shown(browser, webhook):
    assert browser.post(ADD, {**GIVEN, "kind": "slack", "webhook_url": webhook.url}).status_code == 302
    row = AlertChannel.objects.get()
    assert (row.url, row.conditions) == (webhook.url, "held expiry")
    page = browser.get(change(row.pk)).content.decode()
    assert "s3cret" not in page
    assert "leave this empty to keep it" in page
    saved = browser.post(change(row.pk), {**GIVEN, "kind": "slack", "webhook_url": "", "digest_minutes": "7"})
    assert saved.status_code == 302
    row.refresh_from_db()
    assert (row.url, row.digest_minutes) == (webhook.url, 7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "teams", "webhook_url": ""}, "Enter the URL"),
        ({"kind": "teams", "webhook_url": "http://example.org/"}, "https://"),
        ({"kind": "email", "conditions": []}, "required"),
    ],
)
def test_what_is_wrong_is_said(browser, given, says):
    page = browser.post(ADD, {**GIVEN, "webhook_url": "", **given})
    assert page.status_code == 200
    assert says in page.content.decode()


def test_a_test_is_sent_by_its_button(browser, webhook, channel):
    row = channel(Channel.TEAMS, url=webhook.url)
    address = reverse("admin:alertchannel_test", args=[row.pk])
    assert address in browser.get(change(row.pk)).content.decode()
    assert browser.get(address).status_code == 403
    page = browser.post(address, follow=True).content.decode()
    assert "The test was taken." in page
    assert len(webhook.told) == 1
    webhook.status = 410
    assert "The test was not taken: HTTP 410." in browser.post(address, follow=True).content.decode()


def test_a_url_that_no_key_opens_keeps_nobody_from_the_pages_and_is_entered_anew(
    browser, webhook, channel, settings
):
    row = channel(Channel.TEAMS, url=webhook.url)
    settings.FIELD_ENCRYPTION_KEYS = ["bmV3LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDA="]
    for address in (reverse("admin:mailrelay_alertchannel_changelist"), change(row.pk)):
        assert browser.get(address).status_code == 200
    test = reverse("admin:alertchannel_test", args=[row.pk])
    assert "enter it again" in browser.post(test, follow=True).content.decode()
    browser.post(change(row.pk), {**GIVEN, "kind": "teams", "webhook_url": webhook.url})
    assert "The test was taken." in browser.post(test, follow=True).content.decode()


def test_a_test_by_mail_is_queued(browser, channel, sender):
    row = channel(Channel.EMAIL, address="ops@example.org")
    page = browser.post(reverse("admin:alertchannel_test", args=[row.pk]), follow=True)
    assert "queued as a mail" in page.content.decode()
    assert Message.objects.get().report == Report.ALERT


def test_what_is_the_matter_is_listed_and_escaped(browser, now):
    episodes.enter([Finding("held:1", Condition.HELD, "Sender <script>", "Words.")], now)
    page = browser.get("/admin/mailrelay/alert/").content.decode()
    assert "Sender &lt;script&gt;" in page
    assert "Present" in page
