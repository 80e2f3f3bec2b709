"""MAIL FROM: syntax, parameters, and whom a client may send as."""

from dataclasses import replace

import pytest

from mailrelay.routing.table import Client, RoutingTable
from mailrelay.vocabulary import LargeMail, Reason
from tests.smtp.smtp_server import LOOPBACK, SENDER


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:<a@example.org>",
        "from: <a@example.org>",
        "FROM:a@example.org",
        "FROM:< a@example.org >",
        "FROM:<@hop.example:a@example.org>",
        'FROM:<"a b"@example.org>',
        "FROM:<>",
        "FROM:<root>",
        "FROM:<a@example.org> SIZE=1000 BODY=8BITMIME",
        "FROM:<a@example.org> size=1000 body=7bit",
        "FROM:<a@example.org> AUTH=<>",
        "FROM:<a@example.org> AUTH=e+3Dmc2@example.org RET=HDRS ENVID=QQ314159",
        "FROM:<a@example.org> SMTPUTF8",
    ],
)
def test_it_takes_what_clients_send(smtp_server, argument):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"MAIL {argument}") == "250 2.1.0 Ok\r\n"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 5.5.4 "),
        ("TO:<a@example.org>", "501 5.5.4 "),
        ("FROM:", "501 5.5.4 "),
        ("FROM:<a@example.org", "501 5.5.4 "),
        ("FROM:<a@example.org>X", "501 5.5.4 "),
        ("FROM:<a b@example.org>", "501 5.5.4 "),
        ("FROM:<a@example.org> =5", "501 5.5.4 "),
        ("FROM:<a@example.org> SIZE=x", "501 5.5.4 "),
        ("FROM:<a@example.org> SIZE=\u0663", "501 5.5.4 "),
        ("FROM:<a@example.org> BODY=BINARYMIME", "501 5.5.4 "),
        ("FROM:<a@example.org> SMTPUTF8=yes", "501 5.5.4 "),
        ("FROM:<a@example.org> WHAT=1", "555 5.5.4 "),
        ("FROM:<a@example.org> SIZE=36700161", "552 5.3.4 "),
        (f"FROM:<{'x' * 250}@example.org>", "553 5.1.7 "),
        ("FROM:<\u00e4@example.org>", "553 5.6.7 "),
    ],
)
def test_it_refuses_what_is_wrong_and_the_session_goes_on(smtp_server, argument, reply):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"MAIL {argument}").startswith(reply)
        assert talk.say("MAIL FROM:<a@example.org>").startswith("250 ")


def test_an_address_beyond_ascii_is_taken_with_smtputf8(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<\u00e4@example.org> SMTPUTF8", "RCPT TO:<\u00fc@example.net>", "DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 ")
    assert smtp_server.queue.last.mail_from == "\u00e4@example.org"
    assert smtp_server.queue.last.recipients == ("\u00fc@example.net",)
    assert b" with UTF8SMTP id " in smtp_server.queue.mails[0][1]


def test_bytes_that_are_no_utf_8_are_refused_even_with_smtputf8(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.say(b"MAIL FROM:<\xff@example.org> SMTPUTF8\r\n").startswith("553 5.6.7 ")
    _, [refused] = smtp_server.service.context.client_log.take()
    assert refused.mail_from == r"\xff@example.org"


def test_the_null_reverse_path_is_the_empty_string(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.mail(b"From: a@example.org\r\n\r\nx\r\n", "").startswith("250 ")
    assert smtp_server.queue.last.mail_from == ""


def test_a_second_mail_command_is_refused_and_the_first_holds(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<>")
        assert talk.say("MAIL FROM:<b@example.org>").startswith("503 5.5.1 ")
        assert talk.say("RCPT TO:<c@example.net>").startswith("250 ")


def test_a_client_may_use_only_the_senders_that_it_is_allowed(open_smtp_server):
    client = Client(4, "printers", LOOPBACK.networks, frozenset({"scan@example.org", "@print.example.org"}))
    smtp_server = open_smtp_server(RoutingTable((SENDER,), (client,)))
    with smtp_server.connect() as talk:
        reply = talk.say("EHLO x", "MAIL FROM:<boss@example.org>")
        assert reply.startswith("550 5.7.1 Sender address <boss@example.org> ") and "printers" in reply
        assert talk.say("MAIL FROM:<Scan@Example.org>").startswith("250 ")
        assert talk.say("RSET", "MAIL FROM:<any@print.example.org>").startswith("250 ")
        assert talk.say("RSET", "MAIL FROM:<>").startswith("250 ")


def test_without_any_sender_mail_is_refused_before_its_content_is_sent(open_smtp_server):
    with open_smtp_server(RoutingTable((), (LOOPBACK,))).connect() as talk:
        reply = talk.say("EHLO x", "MAIL FROM:<a@example.org>")
    assert reply.startswith("550 5.7.1 ") and "<a@example.org>" in reply


def test_a_size_is_refused_only_where_no_sender_that_the_from_may_choose_carries_it(open_smtp_server):
    small = replace(SENDER, large_mail=LargeMail.OFF)
    large = replace(
        SENDER, id=2, addresses=frozenset({"app@example.org"}), is_default=False, large_mail=LargeMail.ON
    )
    smtp_server = open_smtp_server(RoutingTable((small, large), (LOOPBACK,)))
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<relay@example.org> SIZE=5000000").startswith("250 ")
        smtp_server.routing = RoutingTable((small,), (LOOPBACK,))
        assert talk.say("RSET", "MAIL FROM:<relay@example.org> SIZE=5000000").startswith("552 5.3.4 ")


def test_a_configuration_that_lacks_something_is_our_trouble_and_no_5xx(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((), (LOOPBACK,), Reason.CREDENTIAL_MISSING))
    with smtp_server.connect() as talk:
        reply = talk.say("EHLO x", "MAIL FROM:<a@example.org>")
    assert reply.startswith("451 4.3.5 ") and "no credential" in reply


def test_no_room_on_the_disk_is_said_before_the_content_is_sent(open_smtp_server):
    smtp_server = open_smtp_server()
    # More than any disk: a tenth of the file system at most counts, so that the declared size decides.
    with open_smtp_server(max_message_size=1 << 60).connect() as talk:
        assert talk.say("EHLO x", f"MAIL FROM:<a@example.org> SIZE={1 << 59}").startswith("452 4.3.1 ")
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org> SIZE=1000").startswith("250 ")


@pytest.mark.parametrize(
    "written",
    [
        "<Name <a@example.org>>",
        "<<a@example.org>>",
        "< < a@example.org > >",
        "Name <a@example.org>",
        '"Doe, <Jane>" <a@example.org>',
        '<"Doe, Jane <x@example.net>" <a@example.org>>',
        "<=?utf-8?q?J=C3=B6rg?= <a@example.org>>",
        "<x@example.net <a@example.org>>",
        "a@example.org <a@example.org>",
        "<@hop.example:a@example.org>",
        "<Name <@hop.example:a@example.org>>",
    ],
)
def test_the_address_in_the_innermost_brackets_counts(smtp_server, written):
    with smtp_server.connect() as talk:
        talk.say("EHLO x")
        assert talk.say(f"MAIL FROM:{written} SIZE=100") == "250 2.1.0 Ok\r\n"
        talk.say("RCPT TO:<b@example.net>", "DATA")
        talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n")
    assert smtp_server.queue.last.mail_from == "a@example.org"


@pytest.mark.parametrize(
    "written",
    [
        "<Name <a@example.org>",
        "<<a@example.org>>>",
        "<Name <>>",
        "<a@example.org> <b@example.org>",
        "<Name <a@example.org> <b@example.org>>",
        '<"Name <a@example.org>>',
        "<" * 2000,
        '<"' * 1000,
    ],
)
def test_brackets_around_no_address_or_around_two_are_refused(smtp_server, written):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"MAIL FROM:{written}")[:9] in {"501 5.5.4", "500 5.5.2"}


@pytest.mark.parametrize("written", ["<<>>", "<>", "< >", "< <> >"])
def test_brackets_around_nothing_are_the_null_reverse_path(smtp_server, written):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", f"MAIL FROM:{written}", "RCPT TO:<b@example.net>", "DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 ")
    assert smtp_server.queue.last.mail_from == ""


def test_brackets_within_a_parameter_hold_no_address(smtp_server):
    with smtp_server.connect() as talk:
        talk.say(
            "EHLO x", "MAIL FROM:a@example.org AUTH=<>", "RCPT TO:b@example.net ORCPT=rfc822;<c>", "DATA"
        )
        talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n")
    assert (smtp_server.queue.last.mail_from, smtp_server.queue.last.recipients) == (
        "a@example.org",
        ("b@example.net",),
    )
