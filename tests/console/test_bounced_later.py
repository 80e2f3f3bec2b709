"""Mail that was sent and bounced later: what a report says, and what the console says of it."""

from datetime import timedelta

import pytest

from mailrelay.console import message_bounces
from mailrelay.graph import inbox
from mailrelay.models import Inbox, NonDelivery
from mailrelay.vocabulary import State
from sandbox import world
from tests.console import plans
from tests.console.asking import LIST
from tests.console.rows import make_message
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send

REPORT = """\
From: Mail Delivery System <mailer-daemon@example.org>
To: office@contoso.test
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Nobody is here.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.org>:
    unknown user

Final-Recipient: rfc822; slow@example.org
Action: delayed
Status: 4.4.1

Original-Recipient: rfc822;bob@example.org
Action: Failed
Status: 5.2.2
--b
{part}
--b--
"""
WHOLE = "Content-Type: message/rfc822\n\nFrom: a@contoso.test\nMessage-ID: <First.1@printer>\n\nbody\n"
HEADERS = "Content-Type: text/rfc822-headers\n\nFrom: a@contoso.test\nMessage-ID:\n <First.1@printer>\n"
BOUNCED = "SELECT recipient, status FROM mailrelay_nondelivery"


@pytest.mark.parametrize("part", [WHOLE, HEADERS])
def test_a_report_names_the_message_and_who_did_not_get_it(part):
    report = inbox.read(REPORT.format(part=part).encode())
    assert report.message_id == "First.1@printer"
    assert report.failures == (
        inbox.Failure("ann@example.org", "5.1.1", "550 5.1.1 <ann@example.org>: unknown user"),
        inbox.Failure("bob@example.org", "5.2.2", ""),
    )


def test_a_report_that_gives_nothing_back_is_known_by_what_it_answers():
    text = REPORT.format(part="Content-Type: text/plain\n\nnothing\n")
    assert inbox.read(text.encode()) is None
    assert inbox.read(b"In-Reply-To: <First.1@printer>\n" + text.encode()).message_id == "First.1@printer"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\x00\xfe",
        b"Subject: out of office\n\nI am away.\n",
        REPORT.format(part=WHOLE).replace("ailed", "elayed").encode(),
        REPORT.format(part=WHOLE).partition("Final-Recipient")[0].encode(),
    ],
)
def test_what_is_no_report_of_a_failure_is_none(raw):
    assert inbox.read(raw) is None


def test_a_report_that_was_cut_within_the_mail_it_gives_back_is_read():
    text = REPORT.format(part=WHOLE)
    assert inbox.read(text[: text.rindex("body")].encode()).message_id == "First.1@printer"


def sent_through(sender):
    message = make_message(sender, state=State.SENT)
    return message, message.deliveries.get().mailbox


def note(message, recipient="ann@example.org", **columns):
    columns = {"report": "r", "received_at": message.created_at, "status": "5.1.1"} | columns
    return NonDelivery.objects.create(message=message, recipient=recipient, **columns)


@pytest.mark.django_db
def test_the_page_says_who_did_not_get_it(browser, sender):
    message, _ = sent_through(sender)
    note(message, diagnostic="550 <script>alert(1)</script>")
    text = browser.get(f"{LIST}{message.pk}/change/").content.decode()
    assert "Sent, bounced later" in text
    assert "<b>ann@example.org</b> 5.1.1 550 &lt;script&gt;" in text
    badge = '<span class="badge bad">Sent, bounced later</span>'
    assert badge in text
    assert badge in browser.get(LIST).content.decode()


@pytest.mark.django_db
def test_the_page_says_when_nobody_can_know(browser, sender, settings, now):
    message, mailbox = sent_through(sender)

    def says() -> str:
        return browser.get(f"{LIST}{message.pk}/change/").context["bounces"].sentence

    assert says() == message_bounces.OFF
    settings.BOUNCE_WATCH_SECONDS = 60
    assert says() == message_bounces.UNREAD
    known = Inbox.objects.create(mailbox=mailbox, refused_at=now)
    assert says() == message_bounces.REFUSED
    known.refused_at, known.read_until = None, now - timedelta(minutes=3)
    known.save()
    assert "ago): no report about it." in says()


@pytest.mark.django_db
def test_a_message_that_nothing_was_sent_of_says_nothing_of_bounces(browser, sender):
    message = make_message(sender, state=State.QUEUED)
    assert "Did it bounce?" not in browser.get(f"{LIST}{message.pk}/change/").content.decode()


@pytest.mark.django_db
def test_the_list_is_narrowed_to_what_bounced_later(browser, sender):
    bounced, _ = sent_through(sender)
    other, _ = sent_through(sender)
    note(bounced)
    note(bounced, "bob@example.org")
    page = browser.get(LIST, {"state": "bounced"})
    assert [row.pk for row in page.context["cl"].result_list] == [bounced.pk]
    page = browser.get(LIST, {"state": "bounced", "q": other.queue_id})
    assert not page.context["cl"].result_list


@pytest.mark.django_db
def test_looking_for_it_scans_no_table():
    assert "SCAN mailrelay_message" not in "\n".join(plans.plans("bounced later"))


def test_a_report_in_the_senders_inbox_is_linked_to_the_message(embedded):
    embedded.environment |= {
        "AZURE_CLIENT_ID": world.SECOND_CLIENT,
        "AZURE_CLIENT_SECRET": "sandbox-secret-2",
        "BOUNCE_WATCH_SECONDS": "1",
    }
    listener = embedded.start()
    send(listener.smtp_port, mail(1), ["ghost@undeliverable.test", "ann@example.org"])
    send(listener.smtp_port, mail(2))
    embedded.wait_for(sent=2)
    found = eventually(lambda: rows(embedded.environment, BOUNCED), 60, "the report being read")
    assert found == [("ghost@undeliverable.test", "5.1.1")]
    told = "SELECT text FROM mailrelay_timelineentry WHERE text LIKE 'Bounced later%'"
    assert [text for (text,) in rows(embedded.environment, told)] == [
        "Bounced later: ghost@undeliverable.test. 5.1.1 550 5.1.1 The recipient's mailbox does not exist"
    ]
    looked = "SELECT looked_at FROM mailrelay_inbox"
    before = rows(embedded.environment, looked)
    eventually(lambda: rows(embedded.environment, looked) != before, 60, "a second look")
    assert len(rows(embedded.environment, BOUNCED)) == 1


def test_an_inbox_that_may_not_be_read_is_noted_as_such(embedded):
    listener = embedded.start(BOUNCE_WATCH_SECONDS="1")
    send(listener.smtp_port, mail(1))
    refused = "SELECT count(*) FROM mailrelay_inbox WHERE refused_at IS NOT NULL AND read_until IS NULL"
    eventually(lambda: rows(embedded.environment, refused) == [(1,)], 60, "the refusal")
    embedded.wait_for(sent=1)


def test_nobody_looks_into_an_inbox_unless_told_to(embedded):
    listener = embedded.start()
    send(listener.smtp_port, mail(1))
    embedded.wait_for(sent=1)
    assert rows(embedded.environment, "SELECT count(*) FROM mailrelay_inbox") == [(0,)]
    assert not [each for each in embedded.sandbox.stats()["requests"] if "folders" in each]
