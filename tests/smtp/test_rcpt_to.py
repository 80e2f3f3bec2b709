"""RCPT TO: which addresses, and how many."""

import pytest

from mailrelay.smtp.connection import LOGGED_REFUSALS


@pytest.mark.parametrize(
    "argument",
    [
        "TO:<b@example.net>",
        "to: <b@example.net>",
        "TO:b@example.net",
        "TO:<@hop.example:b@example.net>",
        'TO:<"b c"@example.net>',
        "TO:<b@[192.0.2.1]>",
        "TO:<o'brien+tag@example.net>",
        "TO:<b@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.net",
        "TO:<Postmaster>",
    ],
)
def test_it_takes_what_clients_send(smtp_server, argument):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<>", f"RCPT {argument}") == "250 2.1.5 Ok\r\n"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 5.5.4 "),
        ("TO:", "501 5.5.4 "),
        ("TO:<b c@example.net>", "501 5.5.4 "),
        ("TO:<b@example.net><c@example.net>", "501 5.5.4 "),
        ("TO:<>", "553 5.1.3 "),
        ("TO:<b>", "553 5.1.3 "),
        ("TO:<@example.net>", "553 5.1.3 "),
        ("TO:<b@>", "553 5.1.3 "),
        ("TO:<b@exa(mple.net>", "553 5.1.3 "),
        ("TO:<user@foo:bar@example.net>", "553 5.1.3 "),
        ("TO:<b@example.net@example.org>", "553 5.1.3 "),
        ('TO:<"b"@example.net@example.org>', "553 5.1.3 "),
        ('TO:<a"b"c@example.net>', "553 5.1.3 "),
        ('TO:<"b".c@example.net>', "553 5.1.3 "),
        ('TO:<"b""c"@example.net>', "553 5.1.3 "),
        ("TO:<mailto:b@example.net>", "553 5.1.3 "),
        ("TO:<b,c@example.net>", "553 5.1.3 "),
        ("TO:<b;c@example.net>", "553 5.1.3 "),
        ("TO:<DOMAIN\\b@example.net>", "553 5.1.3 "),
        (f"TO:<{'b' * 243}@example.net>", "553 5.1.3 "),
        ("TO:<\u00fc@example.net>", "553 5.6.7 "),
        ("TO:<b@example.net> WHAT", "555 5.5.4 "),
    ],
)
def test_it_refuses_what_nobody_can_deliver_to(smtp_server, argument, reply):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT {argument}").startswith(reply)
        assert talk.say("DATA")[:3] in {"503", "554"}


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ('"x@y:z"@example.net', '"x@y:z"@example.net'),
        ("b@[IPv6:2001:db8::1]", "b@[IPv6:2001:db8::1]"),
        ("@hop.example:b@example.net", "b@example.net"),
        ('@hop.example,@two.example:"x@y:z"@example.net', '"x@y:z"@example.net'),
        ("@[IPv6:2001:db8::1],@two.example:b@example.net", "b@example.net"),
    ],
)
def test_of_an_address_nothing_is_cut_but_the_route_before_it(smtp_server, written, address):
    with smtp_server.connect() as talk:
        talk.mail(b"From: a@example.org\r\n\r\nx\r\n", written, written)
    assert (smtp_server.queue.last.mail_from, smtp_server.queue.last.recipients) == (address, (address,))


def test_an_address_of_254_octets_is_taken(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT TO:<{'b' * 242}@example.net>").startswith("250 ")


def test_postmaster_gets_the_domain_of_the_default_sender(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(b"From: a@example.org\r\n\r\nx\r\n", "a@example.org", "postmaster")
    assert smtp_server.queue.last.recipients == ("postmaster@example.org",)


def test_recipients_over_the_limit_are_put_off_and_the_others_get_the_mail(open_smtp_server):
    smtp_server = open_smtp_server(max_recipients=2)
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "RCPT TO:<c@example.net>")
        assert talk.say("RCPT TO:<d@example.net>").startswith("452 4.5.3 ")
        talk.say("DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 ")
    assert smtp_server.queue.last.recipients == ("b@example.net", "c@example.net")


def test_a_recipient_that_is_named_twice_gets_one_copy_and_is_counted_once(open_smtp_server):
    smtp_server = open_smtp_server(max_recipients=2)
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "RCPT TO:<C@example.net>")
        for spelling in ("b@example.net", "B@Example.net.", '"c"@example.net'):
            assert talk.say(f"RCPT TO:<{spelling}>") == "250 2.1.5 Ok\r\n"
        assert talk.say("RCPT TO:<d@example.net>").startswith("452 4.5.3 ")
        talk.say("DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 ")
    assert smtp_server.queue.last.recipients == ("b@example.net", "C@example.net")


def test_a_refused_recipient_does_not_spoil_the_others(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<>", "RCPT TO:<b@example.net>", "DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 ")
    assert smtp_server.queue.last.recipients == ("b@example.net",)


@pytest.mark.parametrize(
    "written",
    [
        "<Name <b@example.net>>",
        "<<b@example.net>>",
        "< < b@example.net > >",
        "Name <b@example.net>",
        '"Doe, <Jane>" <b@example.net>',
        '<"Doe, Jane <x@example.org>" <b@example.net>>',
        "<=?utf-8?q?J=C3=B6rg?= <b@example.net>>",
        "<x@example.org <b@example.net>>",
        "b@example.net <b@example.net>",
        "<@hop.example:b@example.net>",
        "<Name <@hop.example:b@example.net>>",
    ],
)
def test_the_address_in_the_innermost_brackets_counts(smtp_server, written):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT TO:{written} NOTIFY=NEVER") == "250 2.1.5 Ok\r\n"
        talk.say("DATA", b"From: a@example.org\r\n\r\nx\r\n.\r\n")
    assert smtp_server.queue.last.recipients == ("b@example.net",)


def test_a_session_logs_the_first_of_many_refusals_by_one_rule(open_smtp_server, caplog):
    caplog.set_level("INFO")
    smtp_server = open_smtp_server(max_recipients=1)
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")
        for number in range(LOGGED_REFUSALS + 10):
            assert talk.say(f"RCPT TO:<c{number}@example.net>").startswith("452 4.5.3 ")

    lines = [record.getMessage() for record in caplog.records if "reply=452" in record.getMessage()]
    assert len(lines) == LOGGED_REFUSALS
    assert "more of these in this session are not logged" in lines[-1]
    assert "more of these" not in lines[-2]
