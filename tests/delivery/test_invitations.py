"""Invitations reach exactly the envelope, at a Graph that goes by the calendar's own people."""

import base64
import email
import email.policy

import pytest

from mailrelay.mime.invitations import AS_FILE
from mailrelay.models import Delivery, Mailbox, Recipient, SenderConfig
from mailrelay.vocabulary import Invitations, Reason, Route, State
from tests.delivery.office import fresh, timeline
from tests.delivery.test_permanent import unresolved
from tests.fidelity.mails import TOP, multipart, padded
from tests.harness.processes import manage, send
from tests.large.conftest import queued, writer  # noqa: F401 - fixtures
from tests.mime.calendars import HTML, PLAIN, calendar, event, part
from tests.outbox import rows

ANN, GUEST = "ann@example.org", "guest@customer.example"


def invitation(*people: str, method: str = "REQUEST") -> bytes:
    kind = f"text/calendar; method={method}; charset=utf-8"
    return multipart(
        b"alternative", PLAIN, HTML, part(calendar(event(*people), method=method), kind), boundary=b"i"
    )


def addressed(delivery: Delivery, *recipients: str) -> None:
    Recipient.objects.filter(delivery=delivery).delete()
    Recipient.objects.bulk_create(
        Recipient(message=delivery.message, delivery=delivery, address=one, address_key=one)
        for one in recipients
    )


def sent(office, delivery: Delivery):
    """What the sandbox delivered, and what it was submitted as."""
    office.work()
    assert fresh(delivery).state == State.SENT, delivery.last_error
    (mail,) = office.sandbox.deliveries()
    return mail["recipients"], email.message_from_bytes(
        office.sandbox.raw(mail["seq"]), policy=email.policy.default
    )


def entity_for(route: Route, entity: bytes) -> bytes:
    return TOP + (padded(entity) if route is Route.LARGE else entity) + b"\r\n"


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "REPLY"])
def test_the_recipient_gets_it_and_not_the_guest(writer, queued, route, method):  # noqa: F811
    delivery = queued(entity_for(route, invitation(GUEST, method=method)), route)

    recipients, mail = sent(writer, delivery)

    assert recipients == [ANN]
    assert "Internal: do not forward." in mail.get_body(("plain",)).get_content()
    assert "<p>Internal</p>" in mail.get_body(("html",)).get_content()
    names = [file.get_filename() for file in mail.iter_attachments()]
    assert "invite.ics" in names
    ics = next(file for file in mail.iter_attachments() if file.get_filename() == "invite.ics")
    assert ics.get_payload(decode=True) == calendar(event(GUEST), method=method).removesuffix(b"\r\n")
    assert AS_FILE in timeline(delivery)


@pytest.mark.parametrize("route", list(Route))
def test_an_invitation_to_exactly_the_recipients_goes_as_it_is(writer, queued, route):  # noqa: F811
    delivery = queued(entity_for(route, invitation(ANN)), route)

    recipients, mail = sent(writer, delivery)

    assert recipients == [ANN]
    assert "text/calendar" in [part.get_content_type() for part in mail.walk()]
    assert AS_FILE not in timeline(delivery)


@pytest.mark.parametrize("switch", ["mime_drafts", "upload_to_mime_drafts"])
def test_a_draft_without_mime_goes_to_the_envelope_too(writer, queued, switch):  # noqa: F811
    writer.sandbox.world(behaviour={switch: False})
    delivery = queued(entity_for(Route.LARGE, invitation(GUEST)))

    recipients, mail = sent(writer, delivery)

    assert recipients == [ANN]
    assert "invite.ics" in [file.get_filename() for file in mail.iter_attachments()]
    assert "its invitation arrives as a file" in timeline(delivery)


def test_a_calendar_too_large_for_a_request_goes_to_the_envelope(writer, queued):  # noqa: F811
    content = calendar(event(GUEST, more=f"DESCRIPTION:{'x' * 4_000_000}\r\n"))
    kind = "text/calendar; method=REQUEST; charset=utf-8"
    delivery = queued(
        TOP + multipart(b"alternative", PLAIN, part(content, kind, encoding="base64")) + b"\r\n"
    )

    recipients, mail = sent(writer, delivery)

    assert recipients == [ANN]
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_payload(decode=True)) == ("invite.ics", content)
    assert "An invitation is too large for one request" in timeline(delivery)


@pytest.mark.parametrize("route", list(Route))
def test_a_redirected_invitation_reaches_nobody_but_whom_all_mail_is_redirected_to(writer, queued, route):  # noqa: F811
    SenderConfig.objects.update(redirect_all_to="staging@contoso.test")
    delivery = queued(entity_for(route, invitation(ANN)), route)

    recipients, _ = sent(writer, delivery)

    assert recipients == ["staging@contoso.test"]


def test_each_delivery_of_one_mail_counts_its_own_recipients(office):
    """Three people in the calendar, in two deliveries."""
    raw = TOP + invitation(ANN, GUEST, "bob@example.org") + b"\r\n"
    first, second = office.queue(2)
    for delivery, people in ((first, (ANN, GUEST)), (second, ("bob@example.org",))):
        rows.give(delivery, raw)
        addressed(delivery, *people)

    office.work()

    assert sorted(mail["recipients"] for mail in office.sandbox.deliveries()) == [
        [ANN, GUEST],
        ["bob@example.org"],
    ]


def test_what_is_left_when_graph_refuses_one_recipient_goes_to_the_others_alone(office):
    """The calendar named exactly the recipients until then."""
    (delivery,) = office.queue(1, to=(ANN, GUEST, "bad@example.org"))
    rows.give(delivery, TOP + invitation(ANN, GUEST, "bad@example.org") + b"\r\n")
    office.sandbox.fault("sendMail", "status", **unresolved("bad@example.org"))

    office.work()

    assert [mail["recipients"] for mail in office.sandbox.deliveries()] == [[ANN, GUEST]]


def test_an_envelope_larger_than_a_message_takes_is_exact_as_well(embedded):
    people = [f"guest{number}@customer.example" for number in range(5)]
    raw = TOP.replace(b"<ann@example.org>", b"<guest0@customer.example>") + invitation(*people) + b"\r\n"
    manage(embedded.environment, "migrate", "--verbosity", "0")
    change = "from mailrelay.models import Mailbox as M; M.objects.update(recipients_per_message=3)"
    manage(embedded.environment, "shell", "--no-imports", "-c", change)

    send(embedded.start().smtp_port, email.message_from_bytes(raw), people)
    embedded.wait_for(sent=2)

    assert sorted(len(mail["recipients"]) for mail in embedded.delivered()) == [2, 3]
    assert sorted(one for mail in embedded.delivered() for one in mail["recipients"]) == people


def signed(entity: bytes) -> bytes:
    signature = b"Content-Type: application/pgp-signature\r\n\r\n" + base64.b64encode(b"signature")
    return multipart(b"signed", entity, signature, boundary=b"s")


def test_a_signed_invitation_whose_recipients_became_others_is_not_sent_and_says_why(office):
    """One of two recipients was refused by Graph, say: the rest are not whom the calendar names."""
    SenderConfig.objects.update(rewrite_signed=True)
    delivery = office.one()
    rows.give(delivery, TOP + signed(invitation(ANN, GUEST)) + b"\r\n")

    office.work()

    assert (fresh(delivery).state, delivery.reason) == (State.FAILED, Reason.REJECTED)
    assert "it is signed" in delivery.last_error
    assert GUEST not in delivery.last_error
    assert not office.sandbox.deliveries()


def test_a_signed_invitation_to_exactly_its_people_is_sent_as_it_is(office):
    SenderConfig.objects.update(rewrite_signed=True)
    delivery = office.one()
    rows.give(delivery, TOP + signed(invitation(ANN)) + b"\r\n")

    recipients, mail = sent(office, delivery)

    assert recipients == [ANN]
    assert mail.get_content_type() == "multipart/signed"


@pytest.mark.parametrize(("decides", "reached"), [(True, [GUEST]), (False, [ANN])])
def test_a_sender_that_leaves_them_trusts_graph(office, decides, reached):
    office.sandbox.world(behaviour={"calendar_decides": decides})
    SenderConfig.objects.update(invitations=Invitations.LEAVE)
    delivery = office.one()
    rows.give(delivery, TOP + invitation(GUEST) + b"\r\n")

    recipients, _ = sent(office, delivery)

    assert recipients == reached


def test_the_mail_of_a_fallback_is_as_exact(office):
    """By whichever sender it goes, the recipients of the delivery count."""
    box = office.box("shared@contoso.test")
    delivery = office.one()
    rows.give(delivery, TOP + invitation(GUEST) + b"\r\n")
    Delivery.objects.filter(pk=delivery.pk).update(
        sender=box.senders.get(), mailbox=box, lent_by=office.mailbox.senders.get()
    )
    Mailbox.objects.filter(pk=box.pk).update(wake_at=delivery.created_at)

    recipients, _ = sent(office, delivery)

    assert recipients == [ANN]
