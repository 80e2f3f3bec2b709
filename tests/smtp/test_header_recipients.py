"""Who gets a mail: the envelope, or the header where a sender lets it rule."""

import pytest

from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp.injection import InjectedMail
from mailrelay.smtp.transaction import Peer
from tests.harness.processes import mail, manage, send
from tests.smtp.smtp_server import LOOPBACK, sender

RULED = sender(headers_rule=True)


def recipients_of(smtp_server, header: str) -> tuple[str, ...]:
    with smtp_server.connect() as talk:
        reply = talk.mail(header.encode() + b"\r\n\r\nx\r\n", "app@example.org", "rcpt@example.net")
    assert reply.startswith("250 "), reply
    return smtp_server.queue.last.recipients


def refusal_of(smtp_server, header: str) -> str:
    with smtp_server.connect() as talk:
        return talk.mail(header.encode() + b"\r\n\r\nx\r\n", "app@example.org", "rcpt@example.net")


@pytest.mark.parametrize(
    ("header", "recipients"),
    [
        ("To: a@example.org\r\nCc: B <b@example.org>\r\nBcc: c@example.org", ("a", "b", "c")),
        ("To: team: a@example.org, A@example.org;", ("a",)),
    ],
)
def test_the_header_rules_where_the_sender_says_so(open_smtp_server, header, recipients):
    smtp_server = open_smtp_server(RoutingTable((RULED,), (LOOPBACK,)))
    assert recipients_of(smtp_server, header) == tuple(f"{name}@example.org" for name in recipients)


@pytest.mark.parametrize("to", ["To: undisclosed-recipients:;", "To: Nobody", "Subject: none"])
def test_a_header_that_names_nobody_leaves_it_to_the_envelope(open_smtp_server, to):
    smtp_server = open_smtp_server(RoutingTable((RULED,), (LOOPBACK,)))
    assert recipients_of(smtp_server, to) == ("rcpt@example.net",)


def test_without_the_switch_the_envelope_alone_counts(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((sender(),), (LOOPBACK,)))
    assert recipients_of(smtp_server, "To: a@example.org") == ("rcpt@example.net",)


def test_whom_a_header_names_has_to_be_allowed_to_the_client(open_smtp_server):
    client = Client(4, "printers", LOOPBACK.networks, allowed_recipients=frozenset({"@example.net"}))
    smtp_server = open_smtp_server(RoutingTable((RULED,), (client,)))
    reply = refusal_of(smtp_server, "To: in@example.net, out@example.org")
    assert reply.startswith("550 5.7.1 ") and "<out@example.org>" in reply and "printers" in reply
    assert recipients_of(smtp_server, "To: in@example.net") == ("in@example.net",)


def test_a_header_names_no_more_than_a_transaction_may(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((RULED,), (LOOPBACK,)), max_recipients=2)
    named = ", ".join(f"{number}@example.org" for number in range(3))
    assert refusal_of(smtp_server, f"To: {named}").startswith("554 5.5.3 ")
    content = f"From: a@example.org\r\nTo: {named}\r\n\r\nx\r\n".encode()
    by_http = InjectedMail(
        LOOPBACK, Peer("127.0.0.1", http=True), [content], "a@example.org", ("b@example.net",)
    )
    assert smtp_server.thread.injector().take(by_http).line.startswith("554 5.5.3 ")


@pytest.mark.parametrize("rules", [True, False])
def test_a_recipient_of_to_outside_rcpt_gets_the_mail_only_where_the_header_rules(embedded, rules):
    manage(embedded.environment, "migrate", "--verbosity", "0")
    change = f"from mailrelay.models import SenderConfig as S; S.objects.update(headers_rule={rules})"
    manage(embedded.environment, "shell", "--no-imports", "-c", change)
    port = embedded.start().smtp_port

    send(port, mail(1, To="ann@example.org, eve@example.org"), ["ann@example.org", "blind@example.org"])
    embedded.wait_for(sent=1)

    (delivered,) = embedded.delivered()
    wanted = {"ann@example.org", "eve@example.org" if rules else "blind@example.org"}
    assert set(delivered["recipients"]) == wanted
    assert delivered["bcc"] == ([] if rules else ["blind@example.org"])
