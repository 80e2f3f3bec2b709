"""What the session says of invitations that Graph would send to others than the recipients."""

import pytest

from mailrelay.mime.compose import DIRECT_LIMIT
from mailrelay.routing.table import RoutingTable
from mailrelay.vocabulary import Invitations, LargeMail, Route
from tests.delivery.test_invitations import invitation, signed
from tests.fidelity.mails import PLAIN, multipart, padded
from tests.mime.test_compose import made
from tests.smtp.smtp_server import LOOPBACK, sender

ANN, GUEST = "ann@example.net", "guest@customer.example"
HEAD = (
    b"From: relay@example.org\r\nTo: ann@example.net\r\nSubject: Talk\r\nMessage-ID: <talk@example.org>\r\n"
    b"Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
)
SIGNED = signed(invitation(GUEST))


def say(open_smtp_server, entity: bytes, *recipients: str, **changes) -> tuple[str, object]:
    smtp_server = open_smtp_server(RoutingTable((sender(**changes),), (LOOPBACK,)))
    with smtp_server.connect() as talk:
        return talk.mail(HEAD + entity + b"\r\n", "app@example.org", *(recipients or (ANN,))), smtp_server


@pytest.mark.parametrize(
    "entity", [SIGNED, multipart(b"mixed", SIGNED, PLAIN, boundary=b"o")], ids=["alone", "within"]
)
def test_a_signed_one_is_refused_with_the_reason(open_smtp_server, entity):
    reply, smtp_server = say(open_smtp_server, entity)

    assert reply.startswith("554 5.6.2 ")
    assert "it is signed" in reply.replace("\r\n554 5.6.2 ", " ").replace("\r\n554-5.6.2 ", " ")
    assert GUEST not in reply
    assert smtp_server.queue.mails == []


def test_a_signed_one_to_exactly_its_people_is_taken(open_smtp_server):
    reply, _ = say(open_smtp_server, signed(invitation(ANN)))

    assert reply.startswith("250 ")


@pytest.mark.parametrize(
    ("changes", "people"),
    [
        ({"redirect_all_to": "staging@example.org"}, (ANN,)),
        ({"recipients_per_message": 1}, (ANN, "bob@example.net")),
        ({"recipients_per_message": 1}, ("bob@example.net", ANN)),
    ],
)
def test_the_recipients_of_each_delivery_count(open_smtp_server, changes, people):
    reply, _ = say(open_smtp_server, signed(invitation(*people)), *people, **changes)

    assert reply.startswith("554 5.6.2 ")


def test_one_of_several_parts_that_would_do_is_not_enough(open_smtp_server):
    reply, _ = say(
        open_smtp_server, signed(invitation(ANN)), ANN, "bob@example.net", recipients_per_message=1
    )

    assert reply.startswith("554 5.6.2 ")


@pytest.mark.parametrize(
    ("policy", "reply"),
    [(Invitations.FILE, "250 "), (Invitations.REFUSE, "554 5.6.2 "), (Invitations.LEAVE, "250 ")],
)
def test_the_sender_says_what_becomes_of_others(open_smtp_server, policy, reply):
    said, _ = say(open_smtp_server, invitation(GUEST), invitations=policy)
    assert said.startswith(reply)
    said, _ = say(open_smtp_server, invitation(ANN), invitations=policy)
    assert said.startswith("250 ")


def test_a_signed_one_beside_a_large_file_is_refused_too(open_smtp_server):
    reply, _ = say(open_smtp_server, padded(SIGNED), large_mail=LargeMail.ON)
    assert reply.startswith("554 5.6.2 ")

    reply, smtp_server = say(open_smtp_server, padded(invitation(GUEST)), large_mail=LargeMail.ON)
    assert reply.startswith("250 ")
    assert smtp_server.queue.last.route is Route.LARGE


def test_its_size_as_a_file_is_what_decides_about_the_route(open_smtp_server):
    """Some hundred bytes more than came: a part of its own around what the message was."""
    entity = invitation(GUEST)
    _, smtp_server = say(open_smtp_server, entity)
    data, _ = made(smtp_server.queue.mails[-1][1], ANN, invitations=Invitations.LEAVE)
    filled = (b"line\r\n" * 600_000)[: DIRECT_LIMIT - len(data) - 100]
    entity = entity.replace(b"<p>Internal</p>", b"<p>Internal</p>" + filled)

    routes = {
        policy: say(open_smtp_server, entity, invitations=policy, large_mail=LargeMail.ON)[1].queue.last.route
        for policy in (Invitations.FILE, Invitations.LEAVE)
    }

    assert routes == {Invitations.FILE: Route.LARGE, Invitations.LEAVE: Route.MIME}
