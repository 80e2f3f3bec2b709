"""A mail that fails for good ends with somebody knowing: once, and nobody else."""

import sqlite3
from datetime import timedelta

import pytest

from mailrelay.models import ContentChunk, Delivery, Message
from mailrelay.notify import failure_notices
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import State
from tests.bounces.conftest import Reports
from tests.harness.ports import eventually
from tests.harness.processes import mail, mailq, manage, rows, send
from tests.outbox import rows as made

OURS = "gateway@contoso.test"
OPERATIONS = "operations@contoso.test"


def refuse(stack, code="ErrorInvalidRecipients", **order):
    """Let Graph refuse the next mail for good."""
    stack.sandbox.fault(
        "sendMail",
        "status",
        status=400,
        code=code,
        message="At least one recipient is not valid.",
        **order,
    )


def fields_of(report):
    """The blocks of the part that programs read: of the message, then of each recipient."""
    part = report.get_payload(1)
    assert part.get_content_type() == "message/delivery-status"
    return [dict(block.items()) for block in part.get_payload()]


def test_the_sender_gets_a_report_that_people_and_programs_can_read(embedded, reports):
    listener = embedded.start()
    refuse(embedded, code="ErrorMissingRecipients")  # of all of it, not of one recipient

    original = mail(1, Subject="Grüße vom Scanner", Bcc="hidden@example.org")
    queue_id = send(listener.smtp_port, original, ["ann@example.org", "hidden@example.org"], mail_from=OURS)
    report = reports.one()

    assert report["To"] == OURS and OURS in report["From"]
    assert report["X-Auto-Response-Suppress"] == "All"
    assert report["Subject"] == "Not delivered: Grüße vom Scanner"
    assert report.get_param("report-type") == "delivery-status"
    text = report.get_payload(0).get_content()
    assert "<ann@example.org>" in text and "5.1.3" in text and queue_id in text
    whole, *recipients = fields_of(report)
    assert whole["Reporting-MTA"] == "dns; gateway.test"
    assert [block["Final-Recipient"] for block in recipients] == [
        "rfc822; ann@example.org",
        "rfc822; hidden@example.org",
    ]
    assert {block["Action"] for block in recipients} == {"failed"}
    assert {block["Status"] for block in recipients} == {"5.1.3"}
    assert "ErrorMissingRecipients" in recipients[0]["Diagnostic-Code"]
    quoted = report.get_payload(2)
    assert quoted.get_content_type() == "text/rfc822-headers"
    assert "Message-ID: <test-1@app.test>" in quoted.get_content()
    assert "Bcc" not in quoted.get_content()


def test_a_sender_that_is_not_ours_is_not_written_to(embedded, reports):
    """It may be forged: the operations address is told instead."""
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS)
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from="stranger@example.net")

    assert reports.one()["To"] == OPERATIONS


def test_the_empty_sender_is_never_answered(embedded, reports):
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS)
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from="")

    assert reports.one()["To"] == OPERATIONS


def test_without_an_operations_address_the_mailbox_itself_is_told(embedded, reports):
    listener = embedded.start()
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from="stranger@example.net")

    assert reports.one()["To"] == OURS


def test_a_report_that_fails_is_not_reported(embedded, reports):
    listener = embedded.start()
    refuse(embedded, times=2)

    send(listener.smtp_port, mail(1), mail_from=OURS)
    embedded.wait_for(failed=2)
    reports.wait_until_told()

    assert len(mailq(embedded.environment)) == 2
    assert "nobody is told" in manage(embedded.environment, "mailq", "show", failed_report(embedded)).stdout


def failed_report(stack):
    ((found,),) = rows(stack.environment, "SELECT id FROM mailrelay_message WHERE report = 'failure'")
    return str(found)


def test_the_policy_none_tells_nobody(embedded, reports):
    listener = embedded.start(BOUNCE_POLICY="none")
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from=OURS)
    embedded.wait_for(failed=1)
    reports.wait_until_told()

    assert len(mailq(embedded.environment)) == 1


def test_the_policy_operations_leaves_the_sender_out(embedded, reports):
    listener = embedded.start(BOUNCE_POLICY="operations", OPERATIONS_ADDRESS=OPERATIONS)
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from=OURS)

    assert reports.one()["To"] == OPERATIONS


@pytest.mark.parametrize("point", ["report.before", "report.after"])
def test_a_kill_while_a_report_is_made_loses_none_and_doubles_none(embedded, reports, point):
    listener = embedded.listener()
    refuse(embedded)
    listener.start(FAILPOINT=point)
    send(listener.smtp_port, mail(1), mail_from=OURS)
    listener.wait_until_killed()

    listener.start()
    reports.one()
    embedded.wait_for(failed=1, sent=1)

    assert len(reports.all()) == 1


def test_the_webhook_is_told_until_it_listens(embedded, reports, webhook):
    listener = embedded.start(BOUNCE_POLICY="webhook", NOTICE_WEBHOOK_URL=webhook.url, NO_PROXY="127.0.0.1")
    refuse(embedded)

    queue_id = send(listener.smtp_port, mail(1), mail_from=OURS)
    eventually(lambda: webhook.notices, 60, "the webhook being told")
    reports.wait_until_told()

    (notice,) = webhook.notices
    assert (notice["event"], notice["id"]) == ("failed", queue_id)
    assert notice["recipients"][0]["status"] == "5.1.3"
    assert len(mailq(embedded.environment)) == 1
    assert "token-in-the-path" not in listener.output()


def test_who_waits_too_long_is_warned_once_and_of_the_end_in_sight(embedded, reports):
    listener = embedded.start(DELAY_WARNING_SECONDS="1", DELIVERY_RETRY_MIN="10")
    embedded.sandbox.fault(
        "sendMail", "status", status=500, code="ErrorContentConversionFailed", message="no", times=1
    )

    send(listener.smtp_port, mail(1), mail_from=OURS)
    report = reports.one()

    assert report["Subject"] == "Not delivered yet: mail 1"
    _, recipient = fields_of(report)
    assert recipient["Action"] == "delayed"
    assert recipient["Status"].startswith("4.")
    assert "Will-Retry-Until" in recipient
    embedded.wait_for(sent=2)


def test_each_part_of_a_split_mail_tells_its_own_recipients_fate(embedded, reports):
    """Two parts, of which one is refused: the report names its recipient alone."""
    listener = embedded.start()
    box = "UPDATE mailrelay_mailbox SET recipients_per_message = 1"
    change(embedded, box)
    refuse(embedded)

    send(listener.smtp_port, mail(1, Cc="bob@example.org"), ["ann@example.org", "bob@example.org"], OURS)
    report = reports.one()

    _, *recipients = fields_of(report)
    assert len(recipients) == 1
    reports.wait_until_told()
    embedded.wait_for(failed=1, sent=2)
    assert len(reports.all()) == 1


def test_a_sender_may_have_a_policy_of_its_own(embedded, reports):
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS)
    change(embedded, "UPDATE mailrelay_senderconfig SET bounce_policy = 'operations'")
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from=OURS)

    assert reports.one()["To"] == OPERATIONS


def test_a_policy_of_another_version_stops_no_report(embedded, reports):
    listener = embedded.start(OPERATIONS_ADDRESS=OPERATIONS, BOUNCE_POLICY="operations")
    change(embedded, "UPDATE mailrelay_senderconfig SET bounce_policy = 'newer'")
    refuse(embedded)

    send(listener.smtp_port, mail(1), mail_from=OURS)

    assert reports.one()["To"] == OPERATIONS


def change(stack, statement):
    with sqlite3.connect(f"{stack.environment['DATA_DIR']}/gateway.sqlite3", timeout=30) as connection:
        connection.execute(statement)
    connection.close()


def test_a_report_is_made_on_a_cluster_too(on_redis):
    on_redis.environment |= {"BOUNCE_POLICY": "sender"}
    listener = on_redis.start()
    on_redis.worker().start()
    refuse(on_redis)

    send(listener.smtp_port, mail(1), mail_from=OURS)
    on_redis.wait_for(failed=1, sent=1)

    (report,) = Reports(on_redis).all()
    assert report["To"] == OURS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", [State.UNCERTAIN, State.HELD])
def test_mail_that_stands_for_long_is_warned_of_once_and_what_may_have_arrived_is_said(settings, state):
    settings.BOUNCE_POLICY = "operations"
    settings.OPERATIONS_ADDRESS = OPERATIONS
    settings.DELAY_WARNING_SECONDS = 60
    box = made.mailbox()
    made.sender(box)
    late, recent = (made.queue(box)[0] for _ in range(2))
    Delivery.objects.update(state=state, last_error="Graph gave no answer.")
    Delivery.objects.filter(pk=late.pk).update(created_at=clock.now() - timedelta(hours=2))
    reporter = failure_notices.Reporter()

    reporter._warn()
    reporter._warn()

    (warning,) = Message.objects.filter(report="delay")
    text = ContentChunk.objects.get(content=warning.pk).data.decode()
    assert warning.report_of == late.message_id
    assert ("It may have arrived all the same" in text) is (state == State.UNCERTAIN)
    assert Delivery.objects.get(pk=recent.pk).delay_warned_at is None


@pytest.mark.django_db(transaction=True)
def test_a_backlog_is_warned_of_no_more_often_than_an_hour_bears(monkeypatch, settings):
    settings.BOUNCE_POLICY = "operations"
    settings.OPERATIONS_ADDRESS = OPERATIONS
    settings.DELAY_WARNING_SECONDS = 60
    monkeypatch.setattr(failure_notices, "MOST_WARNINGS", 3)
    box = made.mailbox()
    made.sender(box)
    made.queue(box, 70)
    Delivery.objects.update(created_at=clock.now() - timedelta(hours=2))

    failure_notices.Reporter()._warn()

    assert Message.objects.filter(report="delay").count() == 3
    late = Delivery.objects.filter(message__report="")
    assert not late.filter(delay_warned_at__isnull=True).exists()
