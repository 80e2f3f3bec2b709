"""Texts of many megabytes, by SMTP to the mailbox: as a file with a short text in front, or refused."""

import base64
import smtplib
from email.message import EmailMessage

import pytest

from mailrelay.mime.shorttext import SHORT_TEXT
from mailrelay.models import SenderConfig
from mailrelay.vocabulary import LargeText, Reason, State
from tests.delivery.office import fresh, timeline
from tests.harness.processes import rows, send
from tests.large.mails import MEBIBYTE, blob, parsed
from tests.large.test_faults import arrived, open_drafts

TOP = b"From: app@contoso.test\r\nTo: ann@example.org\r\nSubject: report\r\nMessage-ID: <r@app.test>\r\n"


def lines(size: int) -> bytes:
    line = b"a line of a report that nobody wants to read in a mail\r\n"
    return line * (size // len(line))


def html_mail(size: int) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@contoso.test", "ann@example.org", "report"
    message.set_content("See the HTML.\n")
    message.add_alternative("<p>" + lines(size).decode() + "</p>\n", subtype="html")
    return message


def test_a_text_of_five_megabytes_is_taken_and_arrives_as_a_file(able):
    listener = able.start()
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@contoso.test", "ann@example.org", "report"
    message.set_content(lines(5 * MEBIBYTE).decode())

    send(listener.smtp_port, message)
    able.wait_for(sent=1)

    (delivery,) = able.delivered()
    mail = parsed(able.sandbox.delivered(delivery["seq"]))
    assert mail.get_body().get_content().strip() == SHORT_TEXT
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("message.txt", "text/plain")
    assert file.get_payload(decode=True).startswith(lines(5 * MEBIBYTE).replace(b"\r\n", b"\n")[:50])
    assert len(file.get_payload(decode=True)) >= len(lines(5 * MEBIBYTE))
    told = rows(able.environment, "SELECT text FROM mailrelay_timelineentry")
    assert any("travels as the file message.txt" in text for (text,) in told)


def test_it_is_refused_in_the_session_with_the_true_reason_where_the_sender_wants_that(able):
    listener = able.start(SENDER_LARGE_TEXT="refuse")

    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(listener.smtp_port, html_mail(5 * MEBIBYTE))
    assert refused.value.smtp_code == 552
    assert b"its text alone is too large" in refused.value.smtp_error

    message = html_mail(1000)
    message.add_attachment(blob(5 * MEBIBYTE), "application", "zip", filename="big.zip")
    send(listener.smtp_port, message)
    able.wait_for(sent=1)


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_text_of_25_megabytes_arrives_byte_for_byte(writer, queued, kind):
    text = lines(25 * MEBIBYTE)
    delivery = queued(TOP + b"Content-Type: " + kind.encode() + b"\r\n\r\n" + text)

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    mail = arrived(writer)
    (file,) = mail.iter_attachments()
    assert file.get_payload(decode=True) == text
    assert mail.get_body().get_content().strip() == SHORT_TEXT
    assert open_drafts(writer) == 0


def test_where_no_mime_draft_is_taken_the_text_is_a_file_as_well(writer, queued):
    writer.sandbox.world(behaviour={"mime_drafts": False})
    delivery = queued(TOP + b"Content-Type: text/html\r\n\r\n" + lines(4 * MEBIBYTE))

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    mail = arrived(writer)
    assert [part.get_filename() for part in mail.iter_attachments()] == ["message.html"]
    assert mail.get_body().get_content().strip() == SHORT_TEXT
    assert "arrives as a file" in timeline(delivery)


def test_a_sender_that_refuses_large_texts_since_then_says_so(writer, queued):
    """Taken before the setting changed."""
    SenderConfig.objects.update(large_text=LargeText.REFUSE)
    delivery = queued(TOP + b"\r\n" + lines(4 * MEBIBYTE))

    writer.work()

    assert (fresh(delivery).state, delivery.reason) == (State.FAILED, Reason.TOO_LARGE)
    assert "its text alone is too large" in delivery.last_error


@pytest.mark.parametrize("spelling", ["8bits", "7-bit", '"base64"', "base64 (comment)", "x-unheard-of"])
def test_a_file_goes_however_its_transfer_encoding_is_spelt(writer, queued, spelling):
    content = base64.encodebytes(blob(4 * MEBIBYTE)).replace(b"\n", b"\r\n")
    part = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: %b\r\n\r\n"
    mixed = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
    delivery = queued(TOP + mixed + part % spelling.encode() + content + b"\r\n--b--\r\n")

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    (file,) = arrived(writer).iter_attachments()
    assert file.get_payload(decode=True) == (blob(4 * MEBIBYTE) if "base64" in spelling else content)
