"""Where Graph takes no MIME for a draft: its own resource, and what is lost said on the timeline."""

import pytest

from mailrelay.vocabulary import Reason, State
from tests.delivery.office import fresh, timeline
from tests.large.mails import MEBIBYTE, files, parsed, with_files
from tests.large.test_faults import arrived, open_drafts


@pytest.mark.parametrize("switch", ["mime_drafts", "upload_to_mime_drafts"])
def test_a_refused_skeleton_becomes_a_json_draft_whose_losses_are_named(writer, queued, switch):
    writer.sandbox.world(behaviour={switch: False})
    message = with_files(
        [4 * MEBIBYTE, 1000],
        Cc="Bob <bob@example.org>",
        In_Reply_To="<before@app.test>",
        List_Id="news.app.test",
        X_Tag="blue",
        Importance="high",
    )
    delivery = queued(message)
    type(delivery.recipients.get()).objects.create(
        message=delivery.message, delivery=delivery, address="bob@example.org", address_key="bob@example.org"
    )

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    mail = arrived(writer)
    assert files(mail) == files(message)
    assert "cid:logo@app.test" in mail.get_body(("html",)).get_content()
    assert mail["To"] == "Ann <ann@example.org>"
    assert mail["Cc"] == "Bob <bob@example.org>"
    assert mail["Subject"] == "Grüße, large"
    assert (mail["X-Tag"], mail["Importance"]) == ("blue", "high")
    assert [part["Content-ID"] for part in mail.walk() if part["Content-ID"]] == ["<logo@app.test>"]
    assert "List-Id" in timeline(delivery)
    assert "plain text" in timeline(delivery)
    assert open_drafts(writer) == 0


def test_signed_mail_in_a_list_s_wrapping_is_not_taken_apart_for_it(writer, queued):
    writer.sandbox.world(behaviour={"mime_drafts": False})
    signed = (
        b'Content-Type: multipart/signed; boundary=s; protocol="application/pgp-signature"\r\n\r\n'
        b"--s\r\nContent-Type: text/plain\r\n\r\nhello\r\n--s\r\n"
        b"Content-Type: application/pgp-signature\r\n\r\nxx\r\n--s--\r\n"
    )
    big = (b"A" * 76 + b"\r\n") * 60_000
    data = (
        b"From: app@contoso.test\r\nTo: ann@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + signed + b"\r\n--m\r\n"
        b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + big
        + b"\r\n--m--\r\n"
    )
    delivery = queued(data)

    writer.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TOO_LARGE)
    assert "signed or encrypted" in delivery.last_error
    writer.sandbox.world(behaviour={"mime_drafts": True})
    again = queued(data)
    writer.work()
    assert fresh(again).state == State.SENT
    raw = writer.sandbox.raw(writer.sandbox.deliveries()[0]["seq"])
    assert signed in raw
    assert parsed(raw).get_content_type() == "multipart/mixed"
