"""Who gets in, and what is said to those who speak something else."""

import smtplib

import pytest

from mailrelay.routing.table import RoutingTable
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ListenError, ServiceThread, SmtpService
from tests.smtp.smtp_server import LOOPBACK, SENDER, Address, Queue, Talk, eventually, second_loopback


def test_it_greets_with_its_own_name(smtp_server):
    with smtp_server.connect(greeting=False) as talk:
        assert talk.reply() == "220 relay.example.org ESMTP\r\n"


def test_a_client_that_nobody_listed_is_told_its_address_and_what_would_help(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((SENDER,), ()))
    with smtp_server.connect() as talk:
        talk.say("EHLO scanner", "MAIL FROM:<a@example.org>")
        reply = talk.say("RCPT TO:<b@example.net>")
    assert reply.startswith("550 5.7.1 Client 127.0.0.1 ") and "SMTP_ALLOWED_NETWORKS" in reply


def test_a_client_that_nobody_listed_cannot_reach_data(open_smtp_server):
    smtp_server = open_smtp_server(RoutingTable((SENDER,), ()))
    with smtp_server.connect() as talk:
        talk.say("EHLO scanner", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")
        assert talk.say("DATA").startswith("554 5.5.1 ")
    assert smtp_server.queue.mails == []


def test_connections_over_the_cap_of_one_client_are_put_off(open_smtp_server):
    smtp_server = open_smtp_server(max_connections_per_client=2)
    with smtp_server.connect(), smtp_server.connect(), smtp_server.connect(greeting=False) as third:
        assert third.reply().startswith("421 4.7.0 Too many connections from 127.0.0.1")
        assert third.at_end()


@second_loopback
def test_another_client_gets_in_while_one_is_at_its_cap(open_smtp_server):
    smtp_server = open_smtp_server(max_connections_per_client=1)
    with smtp_server.connect(), smtp_server.connect(source="127.0.0.2") as other:
        assert other.say("NOOP") == "250 2.0.0 Ok\r\n"


@second_loopback
def test_connections_over_the_cap_of_the_process_are_put_off(open_smtp_server):
    smtp_server = open_smtp_server(max_connections=1)
    with smtp_server.connect(), smtp_server.connect(source="127.0.0.2", greeting=False) as second:
        assert second.reply().startswith("421 4.7.0 ")
    assert smtp_server.service.connections.denied == 1


def test_a_place_is_free_again_after_a_client_has_left(open_smtp_server):
    smtp_server = open_smtp_server(max_connections=1)
    smtp_server.connect().close()
    eventually(lambda: not smtp_server.service.connections.open)
    with smtp_server.connect() as talk:
        assert talk.say("NOOP").startswith("250 ")


def test_tls_bytes_are_named_in_the_log_and_the_connection_is_closed(smtp_server, caplog):
    hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(128))
    with smtp_server.connect() as talk:
        talk.send(hello)
        assert talk.reply().startswith("554 5.5.1 ")
        assert talk.at_end()
    assert any("127.0.0.1 speaks TLS" in record.getMessage() for record in caplog.records)


def test_http_is_recognised_and_closed(smtp_server):
    with smtp_server.connect() as talk:
        talk.send(b"POST / HTTP/1.1\r\nHost: relay\r\n\r\nMAIL FROM:<a@example.org>\r\n")
        assert talk.reply() == "554 5.5.1 This port speaks SMTP, not HTTP\r\n"
        assert talk.at_end()


def test_a_client_that_talks_before_the_greeting_is_still_understood(smtp_server):
    with Talk(smtp_server.port, greeting=False) as talk:
        talk.send(b"HELO nc\r\nNOOP\r\nQUIT\r\n")
        assert [talk.reply()[:3] for _ in range(4)] == ["220", "250", "250", "221"]


def test_smtplib_delivers_a_mail(smtp_server):
    with smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=30) as client:
        client.sendmail("app@example.org", ["to@example.net"], "From: app@example.org\r\n\r\nhello\r\n")
    assert smtp_server.queue.content == b"From: app@example.org\r\n\r\nhello\r\n"


def test_too_many_errors_end_the_session(open_smtp_server):
    smtp_server = open_smtp_server(max_errors=3)
    with smtp_server.connect() as talk:
        assert talk.say("WAT", "WAT").startswith("500 5.5.2 ")
        assert talk.say("WAT").startswith("500 5.5.2 ")
        assert talk.reply().startswith("421 4.7.0 ")
        assert talk.at_end()


def test_a_silent_client_is_told_421_and_let_go(open_smtp_server):
    smtp_server = open_smtp_server(command_seconds=0.3)
    with smtp_server.connect() as talk:
        assert talk.reply().startswith("421 4.4.2 ")
        assert talk.at_end()


def test_a_client_that_sends_a_byte_at_a_time_does_not_move_the_deadline(open_smtp_server):
    smtp_server = open_smtp_server(command_seconds=0.5)
    with smtp_server.connect() as talk:
        talk.socket.settimeout(0.05)
        said = b""
        for _ in range(1000):
            try:
                talk.send(b"N")
                said = talk.socket.recv(100)
                break
            except TimeoutError:
                continue
        assert said.startswith(b"421 4.4.2 ")


def test_an_ipv6_client_is_known_by_its_address(tmp_path):
    queue = Queue()
    routing = RoutingTable((SENDER,), (LOOPBACK,))
    options = SmtpOptions("relay.example.org", data_dir=tmp_path, min_free_bytes=0)
    thread = ServiceThread(SmtpService([Address("::1")], lambda: routing, queue, options))
    try:
        thread.start()
    except ListenError:
        pytest.skip("this machine has no IPv6")
    try:
        with smtplib.SMTP("::1", thread.service.ports[0], timeout=30) as client:
            client.sendmail("app@example.org", ["to@example.net"], "From: app@example.org\r\n\r\nhello\r\n")
    finally:
        thread.stop(5)
    assert queue.last.client_address == "::1" and b" ([IPv6:::1])\r\n" in queue.mails[0][1]
