"""The content of a message: shown to anyone who may read it, and harmless whatever it holds."""

import base64
import re
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from mailrelay.console import message_preview
from mailrelay.models import ContentChunk, Message
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Outcome, State
from tests.console.rows import make_attempt, make_message

pytestmark = pytest.mark.django_db
LIST = "/admin/mailrelay/message/"
MAIL = b"""From: "<script>alert(1)</script>" <a@example.org>\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r
X-Raw: \xe4\xf6\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: multipart/alternative; boundary=c\r
\r
--c\r
Content-Type: text/plain; charset=iso-8859-1\r
\r
K\xe4se <script>alert(2)</script>\r
--c\r
Content-Type: text/html; charset=utf-8\r
\r
<p onclick="alert(3)">Hi</p><script>alert(4)</script><img src="https://evil.test/x.png">\r
--c--\r
--b\r
Content-Type: text/html; name="../../evil<b>.html"\r
Content-Disposition: attachment; filename="../../evil<b>.html"\r
Content-Transfer-Encoding: base64\r
\r
PHNjcmlwdD5hbGVydCg1KTwvc2NyaXB0Pg==\r
--b--\r
"""


@pytest.fixture
def message(sender):
    row = make_message(sender, subject="<script>alert(0)</script>", size=len(MAIL))
    ContentChunk.objects.filter(content=row.pk).update(data=MAIL)
    return row


def address(message, what) -> str:
    return f"{LIST}{message.pk}/{what}/"


def test_it_shows_headers_text_html_and_files(browser, message):
    text = browser.get(address(message, "content")).content.decode()
    assert "Käse" in text
    assert 'sandbox title="HTML of the message"' in text
    assert "text/html, 25 bytes" in text
    assert "The content is kept for as long as the message waits." in text


def test_nothing_stored_becomes_markup_on_the_page(browser, message):
    answer = browser.get(address(message, "content"))
    text = answer.content.decode()
    assert "<script>alert" not in text
    assert "evil<b>" not in text
    assert "evil.test" in text.partition("Source</h2>")[2]
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert policy.endswith("frame-src 'self'")


def test_html_is_answered_so_that_nothing_runs_and_nothing_is_fetched(browser, message):
    answer = browser.get(address(message, "html"))
    policy = answer.headers["Content-Security-Policy"]
    assert policy == message_preview.HTML_POLICY
    assert re.search(r"; sandbox$", policy), "without any permission behind it"
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "http" not in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert b"alert(4)" in answer.content, "it is the mail's own HTML, disarmed by its policy alone"


def test_a_file_is_saved_and_never_shown(browser, message):
    answer = browser.get(address(message, "file/0"))
    assert answer.content == b"<script>alert(5)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert ".." not in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.get(address(message, "file/1")).status_code == 404


@pytest.mark.parametrize("what", ["content", "html", "file/0", "raw"])
def test_a_body_needs_a_permission_of_its_own(reader, message, what):
    assert reader.get(address(message, what)).status_code == 403
    assert "View content" not in reader.get(address(message, "change")).content.decode()
    user = User.objects.get(username="reader")
    user.user_permissions.add(Permission.objects.get(codename="view_content"))
    allowed = Client()
    allowed.force_login(user)
    assert allowed.get(address(message, what)).status_code == 200


def test_content_that_was_removed_is_a_sentence(browser, message):
    Message.objects.update(content_removed_at=clock.now(), state=State.SENT)
    answer = browser.get(address(message, "content"), follow=True)
    assert "has been removed" in answer.content.decode()
    assert browser.get(address(message, "html")).status_code == 404


def test_of_a_large_mail_only_the_headers_are_read(browser, message, monkeypatch):
    monkeypatch.setattr(message_preview, "LARGEST", 10)
    text = browser.get(address(message, "content")).content.decode()
    assert "too large to be taken apart" in text
    assert "X-Raw" in text
    assert "<iframe" not in text


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\r\n",
        b"no header at all",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: text/plain; charset=martian\r\n\r\n\xff",
        b"Subject: =?utf-8?b?!!!?=\r\nFrom: \xff@\xfe\r\nTo: ,,;<\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!",
        b'Content-Type: text/plain; charset="a\0b"\r\n\r\nx',
        b"Content-Type: text/plain; charset=idna\r\n\r\n\xff.",
        b"Content-Type: text/plain; charset=undefined\r\n\r\nx",
        b"Content-Type: text/plain; charset=rot13\r\n\r\nx",
        b"Content-Disposition: attachment; filename*\r\n=utf-16''%ff%fe; filename=\"a;b\"\r\n\r\nx",
        b"Content-Disposition: attachment;name*=u\0tf-16''%ff%fe; fileb\"\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\n" * 2000 + b"\r\nx",
    ],
)
def test_broken_mail_is_shown_as_far_as_it_goes(browser, message, mail):
    ContentChunk.objects.filter(content=message.pk).update(data=mail or b" ")
    assert browser.get(address(message, "content")).status_code == 200
    assert browser.get(address(message, "html")).status_code == 200
    assert browser.get(address(message, "file/0")).status_code in {200, 404}


def test_what_has_very_many_parts_is_left_whole(browser, message, monkeypatch):
    monkeypatch.setattr(message_preview, "MOST_PARTS", 10)
    begin = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    ContentChunk.objects.filter(content=message.pk).update(data=begin + b"--b\r\n\r\nx\r\n" * 11)
    assert "too many parts to be taken apart" in browser.get(address(message, "content")).content.decode()
    assert browser.get(address(message, "file/0")).status_code == 404
    ContentChunk.objects.filter(content=message.pk).update(data=begin + b"--b\r\n\r\nx\r\n" * 3)
    assert "cannot be taken apart" not in browser.get(address(message, "content")).content.decode()


def test_wordy_headers_of_parts_cost_no_more_than_their_length(browser, message):
    begin = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    wordy = begin + (b"--b\r\nContent-Type: text/plain; " + b"a=b; " * 10_000 + b"\r\n\r\nwords\r\n") * 20
    ContentChunk.objects.filter(content=message.pk).update(data=wordy)
    assert "words" in browser.get(address(message, "content")).content.decode()


def test_mail_within_mail_without_end_is_a_file(browser, message):
    mail = b"X-Mark: here\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 2000
    ContentChunk.objects.filter(content=message.pk).update(data=mail)
    text = browser.get(address(message, "content")).content.decode()
    assert "message.eml" in text
    assert "X-Mark" in text


@pytest.mark.parametrize("spelling", ['"base64"', "base64 (as usual)", "Base-64"])
def test_a_text_is_decoded_however_its_transfer_encoding_is_spelt(browser, message, spelling):
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n"
    mail = head % spelling.encode() + base64.b64encode("Grüße".encode())
    ContentChunk.objects.filter(content=message.pk).update(data=mail)
    assert "Grüße" in browser.get(address(message, "content")).content.decode().partition("Source</h2>")[0]


def test_what_is_a_file_on_its_way_is_a_file_on_the_page(browser, message):
    """A body that has a name is the text of its mail."""
    mail = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; name=body.html\r\n\r\n<p>the body</p>\r\n"
        b"--b\r\nContent-Type: text/html; name=report.html\r\n\r\n<p>the report</p>\r\n--b--\r\n"
    )
    ContentChunk.objects.filter(content=message.pk).update(data=mail)
    assert browser.get(address(message, "html")).content == b"<p>the body</p>"
    assert browser.get(address(message, "file/0")).content == b"<p>the report</p>"
    assert browser.get(address(message, "file/1")).status_code == 404


def test_a_sent_message_brings_its_message_trace(browser, sender):
    message = make_message(sender, state=State.SENT, message_id="o'brien@x")
    make_attempt(message, outcome=Outcome.SENT, request_id="req-7")
    trace = browser.get(address(message, "change")).context["trace"]
    assert trace.request_id == "req-7"
    assert "-MessageId '<o''brien@x>' -StartDate" in trace.query
    waiting = make_message(sender)
    assert browser.get(address(waiting, "change")).context["trace"] is None


CHARSETS = {
    "gb2312": "报告文件",
    "windows-1251": "Отчёт",
    "iso-8859-2": "Žluťoučký kůň",
    "shift_jis": "価格表",
}


@pytest.mark.parametrize(("charset", "text"), CHARSETS.items(), ids=CHARSETS.keys())
def test_raw_subjects_and_file_names_are_shown_in_the_charset_of_the_mail(browser, sender, charset, text):
    mail = (
        f"From: {text} <a@example.org>\r\nSubject: {text}\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/plain; charset={charset}\r\n\r\nx\r\n"
        f'--b\r\nContent-Disposition: attachment; filename="C:\\x\\{text}.pdf"\r\n\r\nx\r\n--b--\r\n'
    ).encode(charset)
    row = make_message(sender, size=len(mail))
    ContentChunk.objects.filter(content=row.pk).update(data=mail)

    shown = browser.get(address(row, "content")).content.decode()
    saved = browser.get(address(row, "file/0"))

    assert f">{text}<" in shown
    assert f"{text} &lt;a@example.org&gt;" in shown
    assert f"{text}.pdf" in shown
    assert quote(f"{text}.pdf") in saved.headers["Content-Disposition"]
