"""What a client asks of reports with MAIL and RCPT (RFC 3461) is what its sender gets."""

import smtplib
from datetime import timedelta

import pytest

from mailrelay.models import Delivery, Message, Recipient
from mailrelay.notify import failure_notices
from mailrelay.outbox.db import clock
from tests.bounces.test_bounces import OPERATIONS, OURS, fields_of, refuse
from tests.harness.processes import mail, rows
from tests.outbox import rows as made


def ask(port, content, mail_options=(), recipients=None, mail_from=OURS):
    """Send `content` with parameters: of MAIL, and of RCPT by address."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60) as client:
        client.ehlo()
        assert client.mail(mail_from, list(mail_options))[0] == 250
        for address, options in (recipients or {"ann@example.org": []}).items():
            assert client.rcpt(address, options)[0] == 250
        code, text = client.data(content)
        assert code == 250, text


def timeline(stack):
    return [text for (text,) in rows(stack.environment, "SELECT text FROM mailrelay_timelineentry")]


def test_a_report_carries_the_clients_own_names_of_mail_and_recipient(embedded, reports):
    listener = embedded.start()
    refuse(embedded)

    ask(
        listener.smtp_port,
        mail(1).as_bytes(),
        ["RET=HDRS", "ENVID=order+2B42"],
        {"ann@example.org": ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;ann+2Bnews@old.example.org"]},
    )
    report = reports.one()

    whole, recipient = fields_of(report)
    assert whole["Original-Envelope-Id"] == "order+42"
    assert recipient["Original-Recipient"] == "rfc822; ann+news@old.example.org"
    assert recipient["Final-Recipient"] == "rfc822; ann@example.org"
    assert report.get_payload(2).get_content_type() == "text/rfc822-headers"


def test_the_whole_mail_comes_back_where_it_is_asked_for_without_the_blind(embedded, reports):
    listener = embedded.start()
    refuse(embedded)
    original = mail(1, Bcc="hidden@example.org")
    original.set_content("Grüße in UTF-8\n", cte="8bit")

    ask(listener.smtp_port, original.as_bytes(), ["RET=FULL", "BODY=8BITMIME"])
    report = reports.one()

    returned = report.get_payload(2)
    assert returned.get_content_type() == "message/rfc822"
    inner = returned.get_payload(0)
    assert inner["Message-ID"] == "<test-1@app.test>" and inner["Bcc"] is None
    assert "Grüße in UTF-8" in inner.get_content()


def test_recipients_of_whom_nothing_is_to_be_told_are_left_out(embedded, reports):
    listener = embedded.start()
    refuse(embedded, code="ErrorMissingRecipients")  # of all of it, not of one recipient

    ask(
        listener.smtp_port,
        mail(1, Cc="bob@example.org").as_bytes(),
        recipients={"ann@example.org": ["NOTIFY=NEVER"], "bob@example.org": ["NOTIFY=FAILURE"]},
    )
    report = reports.one()

    _, *recipients = fields_of(report)
    assert [each["Final-Recipient"] for each in recipients] == ["rfc822; bob@example.org"]
    assert "ann@example.org" not in report.get_payload(0).get_content()


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS,DELAY"])
def test_nobody_is_told_of_a_failure_that_the_client_does_not_want_to_hear_of(embedded, reports, notify):
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS)
    refuse(embedded)

    ask(listener.smtp_port, mail(1).as_bytes(), recipients={"ann@example.org": [f"NOTIFY={notify}"]})
    embedded.wait_for(failed=1)
    reports.wait_until_told()

    assert any("NOTIFY" in text for text in timeline(embedded))
    assert rows(embedded.environment, "SELECT COUNT(*) FROM mailrelay_message")[0][0] == 1


def test_the_operations_address_is_told_whatever_a_stranger_asks_for(embedded, reports):
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS)
    refuse(embedded)

    ask(
        listener.smtp_port,
        mail(1).as_bytes(),
        recipients={"ann@example.org": ["NOTIFY=NEVER"]},
        mail_from="stranger@example.net",
    )

    assert reports.one()["To"] == OPERATIONS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("notify", "warned"), [("", 1), ("DELAY,FAILURE", 1), ("FAILURE", 0), ("SUCCESS", 0), ("NEVER", 0)]
)
def test_a_delay_is_told_to_those_who_want_to_hear_of_it(settings, notify, warned):
    settings.BOUNCE_POLICY = "sender"
    settings.DELAY_WARNING_SECONDS = 60
    box = made.mailbox()
    made.sender(box, addresses=OURS)
    (late,) = made.queue(box)
    Message.objects.update(mail_from=OURS)
    Recipient.objects.update(dsn_notify=notify)
    Delivery.objects.update(created_at=clock.now() - timedelta(hours=2))

    failure_notices.Reporter()._warn()

    late.refresh_from_db()
    assert late.delay_warned_at is not None
    assert Message.objects.filter(report="delay").count() == warned
