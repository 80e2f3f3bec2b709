"""EHLO, HELO, and the commands around a transaction."""

import re

import pytest


def test_ehlo_comes_in_one_segment_with_the_extensions_that_are_kept(smtp_server):
    with smtp_server.connect() as talk:
        talk.send(b"EHLO client.example.org\r\n")
        answer = talk.socket.recv(4096).decode()
    assert answer.endswith("250 ENHANCEDSTATUSCODES\r\n")
    assert re.findall(r"250[ -](.*)\r\n", answer) == [
        "relay.example.org", "PIPELINING", "SIZE 36700160", "8BITMIME", "SMTPUTF8", "CHUNKING",
        "ENHANCEDSTATUSCODES",
    ]  # fmt: skip


def test_size_advertises_the_configured_maximum(open_smtp_server):
    with open_smtp_server(max_message_size=5000).connect() as talk:
        assert "250-SIZE 5000\r\n" in talk.say("EHLO x")


@pytest.mark.parametrize("line", ["HELO", "HELO x", "EHLO", "EHLO [192.0.2.1]", "ehlo printer", "HeLo  a b"])
def test_it_tolerates_any_name_of_a_client(smtp_server, line):
    with smtp_server.connect() as talk:
        assert talk.say(line).startswith("250")
        assert talk.say("MAIL FROM:<a@example.org>").startswith("250 2.1.0")


def test_a_client_may_leave_helo_out(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250 2.0.0 Ok: queued as ")
    assert smtp_server.queue.last.client_name == ""


def test_ehlo_in_a_transaction_resets_it(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "EHLO x")
        assert talk.say("MAIL FROM:<b@example.org>").startswith("250 ")


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("NOOP", "250 2.0.0 "),
        ("NOOP and more", "250 2.0.0 "),
        ("RSET", "250 2.0.0 "),
        ("RSET x", "501 5.5.4 "),
        ("VRFY postmaster", "252 2.5.0 "),
        ("EXPN staff", "502 5.5.1 "),
        ("HELP", "214 2.0.0 "),
        ("XCLIENT ADDR=192.0.2.1", "500 5.5.2 "),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 25", "500 5.5.2 "),
        ("BDAT 0 LAST", "503 5.5.1 "),
        ("STARTTLS", "502 5.5.1 "),
        ("AUTH PLAIN", "538 5.7.11 "),
        ("", "500 5.5.2 "),
        ("\u00c9HLO x", "500 5.5.2 "),
        ("DATA", "503 5.5.1 "),
        ("RCPT TO:<a@example.org>", "503 5.5.1 "),
        ("QUIT", "221 2.0.0 "),
    ],
)
def test_every_reply_has_an_enhanced_code(smtp_server, line, reply):
    with smtp_server.connect() as talk:
        assert talk.say(line).startswith(reply)


@pytest.mark.parametrize("character", [b"\0", b"\r", b"\x1b", b"\x7f", b"\x0b"])
def test_control_characters_in_commands_are_refused(smtp_server, character):
    with smtp_server.connect() as talk:
        assert talk.say(b"MAIL FROM:<a@example.org" + character + b"X>\r\n").startswith("501 5.5.2 ")


def test_a_command_line_may_end_in_a_bare_line_feed(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.say(b"NOOP\n") == "250 2.0.0 Ok\r\n"


def test_an_endless_command_line_is_refused_and_the_session_goes_on(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.say(b"NOOP " + b"x" * 1_000_000 + b"\r\n").startswith("500 5.5.2 ")
        assert talk.say("NOOP").startswith("250 ")


def test_the_size_limit_of_commands_is_not_shared_between_sessions(smtp_server):
    # aiosmtpd keeps it on the class and clears it when anyone connects.
    line = "MAIL FROM:<a@example.org> ENVID=" + "x" * 480
    with smtp_server.connect() as first:
        first.say("EHLO x")
        assert first.say(line).startswith("250 ")
        first.say("RSET")
        with smtp_server.connect():
            assert first.say(line).startswith("250 ")


def test_commands_that_come_together_are_answered_in_order(smtp_server):
    with smtp_server.connect() as talk:
        talk.send(
            b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<>\r\nRCPT TO:<b@b.example>\r\nNOOP\r\nQUIT\r\n"
        )
        assert [talk.reply()[:9] for _ in range(6)] == [
            "250-relay", "250 2.1.0", "553 5.1.3", "250 2.1.5", "250 2.0.0", "221 2.0.0",
        ]  # fmt: skip
