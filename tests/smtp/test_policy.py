"""Whose mail it is: the header From decides, and every refusal says why."""

from dataclasses import replace

import pytest

from mailrelay.address_forms import normalise
from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.compose import compose
from mailrelay.mime.headers import HeaderBlock
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp.policy import identity_of, urgency
from mailrelay.vocabulary import FromPolicy, Urgency
from tests.smtp.smtp_server import LOOPBACK, sender

SALES = sender(
    id=2, name="sales", mailbox_address="sales@shop.example", is_default=False,
    addresses=frozenset({"sales@shop.example", "orders@shop.example"}), domains=frozenset({"shop.example"}),
)  # fmt: skip
DEFAULT = sender(id=1)


def send(smtp_server, header: str, mail_from: str = "app@example.org") -> str:
    with smtp_server.connect() as talk:
        return talk.mail(header.encode() + b"\r\n\r\nx\r\n", mail_from)


@pytest.mark.parametrize(
    ("header", "chosen", "header_from"),
    [
        ("From: Orders <Orders@Shop.example>", 2, "Orders@Shop.example"),
        ("From: anyone@shop.example", 2, "anyone@shop.example"),
        ("From: someone@else.example", 1, "someone@else.example"),
        ("From: x@else.example, y@shop.example", 2, "y@shop.example"),
        ("From: x@else.example\r\nFrom: y@shop.example", 2, "y@shop.example"),
        ("From: x@else.example, y@other.example", 1, "x@else.example"),
        ('From: "sales@shop.example" <x@else.example>', 1, "x@else.example"),
        ("Subject: none", 1, ""),
        ("From: undisclosed-recipients:;", 1, ""),
        ("From: no address here", 1, ""),
    ],
)
def test_the_from_that_maps_chooses_the_sender(open_smtp_server, header, chosen, header_from):
    smtp_server = open_smtp_server(RoutingTable((DEFAULT, SALES), (LOOPBACK,)))
    assert send(smtp_server, header).startswith("250 ")
    assert (smtp_server.queue.last.sender_id, smtp_server.queue.last.header_from) == (chosen, header_from)


def test_without_a_from_the_envelope_sender_chooses(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((DEFAULT, SALES), (LOOPBACK,)))
    assert send(smtp_server, "Subject: none", "orders@shop.example").startswith("250 ")
    assert smtp_server.queue.last.sender_id == 2


def test_550_only_when_no_sender_matches_and_none_is_default(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((SALES,), (LOOPBACK,)))
    reply = send(smtp_server, "From: x@else.example")
    assert reply.startswith("550 5.7.1 ") and "<x@else.example>" in reply and "default" in reply
    assert send(smtp_server, "From: x@shop.example").startswith("250 ")


def test_a_client_may_not_put_another_from_into_the_header(open_smtp_server):
    client = Client(4, "printers", LOOPBACK.networks, frozenset({"scan@example.org"}))
    smtp_server = open_smtp_server(RoutingTable((DEFAULT,), (client,)))
    reply = send(smtp_server, "From: boss@example.org", "scan@example.org")
    assert reply.startswith("550 5.7.1 From <boss@example.org> ") and "printers" in reply
    assert send(smtp_server, "From: scan@example.org", "scan@example.org").startswith("250 ")
    assert (smtp_server.queue.last.client_id, smtp_server.queue.last.client_key) == (4, "printers")


def as_sent(smtp_server) -> list[str]:
    """The From fields of the last mail as they go to Graph."""
    mail, raw = smtp_server.queue.mails[-1]
    chosen = next(sender for sender in smtp_server.routing.senders if sender.id == mail.sender_id)
    composed = compose(
        raw,
        recipients=mail.recipients,
        identity=replace(identity_of(chosen), mailbox_address=mail.mailbox_address),
        header_from=mail.header_from,
        message_id="<made@relay.example.org>",
        date=mail.received_at,
    )
    return HeaderBlock.parse(bytes(composed.parts[0])).get_all("From")


WEBFORM = Client(5, "webform", LOOPBACK.networks, frozenset({"app@shop.example"}))


@pytest.mark.parametrize("policy", [FromPolicy.SEND_AS, FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX])
@pytest.mark.parametrize(
    ("header", "reply"),
    [
        ("From: boss@shop.example", "550 5.7.1 "),
        ('From: "boss"@shop.example, app@shop.example', "550 5.7.1 "),
        ("From: Boss <boss@shop.example.>\r\nFrom: app@shop.example", "550 5.7.1 "),
        ("From: Boss <Boss@Shop.example>, app@shop.example", "550 5.7.1 "),
        ("From: sales@shop.example, app@shop.example", "550 5.7.1 "),
        ("From: x@else.example, app@shop.example", "250 "),
        ('From: "app"@shop.example., Boss <boss@shop.example>', "250 "),
    ],
)
def test_what_is_sent_is_from_nobody_but_whom_the_client_may_use(open_smtp_server, policy, header, reply):
    addresses = frozenset({"sales@shop.example", "boss@shop.example", "app@shop.example"})
    serving = replace(SALES, from_policy=policy, addresses=addresses, domains=frozenset())
    smtp_server = open_smtp_server(RoutingTable((serving,), (WEBFORM,)))
    assert send(smtp_server, header, "app@shop.example").startswith(reply)
    for written in as_sent(smtp_server) if smtp_server.queue.mails else ():
        assert [normalise(mailbox.address) for mailbox in parse_addresses(written)] == ["app@shop.example"]


@pytest.mark.parametrize("policy", [FromPolicy.SEND_AS, FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX])
@pytest.mark.parametrize(
    ("field", "reply"),
    [
        ("Sender: Boss <boss@shop.example>", "550 5.7.1 Sender <boss@shop.example> "),
        ('sender: "Boss"@Shop.example.', "550 5.7.1 sender <"),
        ("Sender: app@shop.example, boss@shop.example", "550 5.7.1 Sender <boss@shop.example> "),
        ("Sender: app@shop.example\r\nSender: boss@shop.example", "550 5.7.1 Sender <boss@shop.example> "),
        ("Resent-From: boss@shop.example", "550 5.7.1 Resent-From <boss@shop.example> "),
        ("Resent-Sender: boss@shop.example", "550 5.7.1 Resent-Sender <boss@shop.example> "),
        ("Sender: App <app@shop.example>", "250 "),
        ("Sender: root", "250 "),
        ("Reply-To: visitor@else.example", "250 "),
    ],
)
def test_a_list_of_addresses_holds_for_every_sender_that_recipients_see(
    open_smtp_server, policy, field, reply
):
    smtp_server = open_smtp_server(RoutingTable((replace(SALES, from_policy=policy),), (WEBFORM,)))
    assert send(smtp_server, f"From: app@shop.example\r\n{field}", "app@shop.example").startswith(reply)


def test_a_sender_that_nobody_sees_is_not_held_against_the_list(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((SALES,), (WEBFORM,)))
    header = "From: app@shop.example\r\nSender: boss@shop.example"
    assert send(smtp_server, header, "app@shop.example").startswith("250 ")


def test_a_client_without_a_list_may_name_any_sender(open_smtp_server):
    smtp_server = open_smtp_server(
        RoutingTable((replace(SALES, from_policy=FromPolicy.SEND_AS),), (LOOPBACK,))
    )
    assert send(smtp_server, "From: app@shop.example\r\nSender: x@else.example").startswith("250 ")


@pytest.mark.parametrize(
    ("policy", "mail_from", "reply"),
    [
        (FromPolicy.SEND_AS, "", "550 5.7.1 "),
        (FromPolicy.REWRITE, "", "550 5.7.1 "),
        (FromPolicy.SEND_AS, "app@shop.example", "550 5.7.1 "),
        (FromPolicy.REWRITE, "app@shop.example", "250 "),
    ],
)
def test_without_a_from_no_address_is_added_that_the_client_may_not_use(
    open_smtp_server, policy, mail_from, reply
):
    senders = replace(DEFAULT, from_policy=policy), replace(SALES, from_policy=policy)
    smtp_server = open_smtp_server(RoutingTable(senders, (WEBFORM,)))
    said = send(smtp_server, "Subject: none", mail_from)
    assert said.startswith(reply)
    assert ("no From" in said) == reply.startswith("550")


def test_without_a_from_the_mailbox_is_added_where_the_client_may_use_it(open_smtp_server):
    client = replace(WEBFORM, allowed_from=frozenset({"relay@example.org"}))
    smtp_server = open_smtp_server(
        RoutingTable((replace(DEFAULT, from_policy=FromPolicy.SEND_AS),), (client,))
    )
    assert send(smtp_server, "Subject: none", "").startswith("250 ")
    assert as_sent(smtp_server) == ["relay@example.org"]


def test_all_spellings_of_a_from_are_one_mailbox_of_its_own(open_smtp_server):
    own = sender(from_policy=FromPolicy.OWN_MAILBOX, domains=frozenset({"listed.example"}))
    smtp_server = open_smtp_server(RoutingTable((own,), (LOOPBACK,)))
    for spelling in (
        "app@listed.example",
        "App@Listed.example",
        '"app"@listed.example',
        "app@listed.example.",
    ):
        assert send(smtp_server, f"From: {spelling}").startswith("250 ")
    assert {mail.mailbox_address for mail, _ in smtp_server.queue.mails} == {"app@listed.example"}


@pytest.mark.parametrize(
    ("policy", "header", "reply", "mailbox"),
    [
        (FromPolicy.REWRITE, "From: x@else.example", "250 ", "relay@example.org"),
        (FromPolicy.SEND_AS, "From: x@else.example", "250 ", "relay@example.org"),
        (FromPolicy.REQUIRE, "From: x@else.example", "550 5.7.60 ", None),
        (FromPolicy.REQUIRE, "From: Relay@example.org", "250 ", "relay@example.org"),
        (FromPolicy.OWN_MAILBOX, "From: x@else.example", "550 5.7.60 ", None),
        (FromPolicy.OWN_MAILBOX, "From: x@listed.example", "250 ", "x@listed.example"),
        (FromPolicy.OWN_MAILBOX, "Subject: none", "250 ", "relay@example.org"),
    ],
)
def test_the_from_policy_decides(open_smtp_server, policy, header, reply, mailbox):
    domains = frozenset({"listed.example"})
    smtp_server = open_smtp_server(RoutingTable((sender(from_policy=policy, domains=domains),), (LOOPBACK,)))
    said = send(smtp_server, header)
    assert said.startswith(reply)
    if mailbox is None:
        assert "<x@else.example>" in said and smtp_server.queue.mails == []
    else:
        assert smtp_server.queue.last.mailbox_address == mailbox


SIGNED = (
    'From: x@else.example\r\nContent-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"'
)


def test_signed_mail_is_not_rewritten_but_refused(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((sender(),), (LOOPBACK,)))
    reply = send(smtp_server, SIGNED)
    assert reply.startswith("550 5.7.60 From <x@else.example> ") and "signature" in reply


def test_signed_mail_is_rewritten_where_the_sender_allows_it(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((sender(rewrite_signed=True),), (LOOPBACK,)))
    assert send(smtp_server, SIGNED).startswith("250 ")


def test_a_from_that_no_mailbox_can_have_is_refused(smtp_server):
    assert send(smtp_server, f"From: {'x' * 300}@example.org").startswith("554 5.6.0 ")


def test_a_long_refusal_stays_within_the_line_limit(open_smtp_server):
    domain = ".".join(["d" * 60] * 3)
    smtp_server = open_smtp_server(
        RoutingTable((sender(name="n" * 200, from_policy=FromPolicy.REQUIRE),), (LOOPBACK,))
    )
    reply = send(smtp_server, f"From: {'x' * 60}@{domain}")
    lines = reply.splitlines(keepends=True)
    assert len(lines) == 2 and all(len(line) <= 512 for line in lines)
    assert lines[0].startswith("550-5.7.60 ") and lines[1].startswith("550 5.7.60 ")


def test_a_changed_directory_holds_for_the_next_transaction(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RSET")
        smtp_server.routing = RoutingTable((sender(),), ())
        assert talk.say("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>").startswith("550 5.7.1 ")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"", Urgency.NORMAL),
        (b"Priority: urgent\r\n", Urgency.URGENT),
        (b"X-Priority: 1 (Highest)\r\n", Urgency.URGENT),
        (b"X-Priority: 3\r\n", Urgency.NORMAL),
        (b"Importance: High\r\n", Urgency.URGENT),
        (b"Precedence: bulk\r\n", Urgency.BULK),
        (b"Precedence: list\r\nX-Priority: 1\r\n", Urgency.BULK),
    ],
)
def test_urgency_is_read_from_the_header(header, expected):
    assert urgency(HeaderBlock.parse(header + b"\r\n")) is expected
