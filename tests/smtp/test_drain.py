"""Drain: no new connections, mail in transfer finishes, the rest is told to come again."""

import socket
import threading
from ipaddress import ip_network

import pytest

from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ListenError, ServiceThread, SmtpService
from mailrelay.smtp.spool import MEMORY_LIMIT, Spool
from tests.smtp.smtp_server import Address, Queue, eventually, second_loopback

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"


def drain(smtp_server, seconds=30.0):
    """Begin to drain `smtp_server`; returns the thread that ends when it is done."""
    thread = threading.Thread(target=smtp_server.thread.stop, args=(seconds,))
    thread.start()
    eventually(lambda: smtp_server.service.connections.draining)
    return thread


def test_idle_sessions_are_told_421_and_let_go(smtp_server):
    with smtp_server.connect() as idle, smtp_server.connect() as begun:
        begun.say("EHLO x", "MAIL FROM:<a@example.org>")
        stopping = drain(smtp_server)
        for talk in (idle, begun):
            assert talk.reply().startswith("421 4.3.2 ")
            assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive()


def test_no_new_connection_is_taken(smtp_server):
    with smtp_server.connect() as busy:
        busy.begin()
        stopping = drain(smtp_server)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", smtp_server.port), 5)
        busy.send(MAIL + b".\r\n")
    stopping.join(30)


def test_mail_in_transfer_finishes_and_quit_is_answered(open_smtp_server):
    smtp_server = open_smtp_server(farewell_seconds=30)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(b"From: a@example.org\r\n")
        stopping = drain(smtp_server)
        talk.send(b"\r\nhello\r\n.\r\n")
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
        assert talk.say("QUIT").startswith("221 2.0.0 ")
    stopping.join(30)
    assert smtp_server.queue.content == MAIL


def test_after_its_mail_a_client_is_told_421_on_the_next_command(smtp_server):
    with smtp_server.connect() as talk:
        talk.begin()
        drain(smtp_server)
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("MAIL FROM:<a@example.org>").startswith("421 4.3.2 ")


def test_a_client_that_says_nothing_after_its_mail_does_not_hold_the_drain(open_smtp_server):
    smtp_server = open_smtp_server(farewell_seconds=0.1)
    with smtp_server.connect() as talk:
        talk.begin()
        stopping = drain(smtp_server)
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.reply().startswith("421 4.3.2 ")
    stopping.join(30)
    assert not stopping.is_alive()


def test_a_commit_finishes_and_its_250_is_written(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        stopping = drain(smtp_server)
        smtp_server.queue.waiting[0].set_result(None)
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
    stopping.join(30)


def test_a_mail_that_was_answered_421_is_not_stored_though_its_end_was_here(smtp_server, monkeypatch):
    writing, stalled = threading.Event(), threading.Event()
    write_out = Spool._write_out

    def stall(self, blocks):
        writing.set()
        stalled.wait(30)
        write_out(self, blocks)

    monkeypatch.setattr(Spool, "_write_out", stall)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b"x" * MEMORY_LIMIT + b"\r\n.\r\n")
        assert writing.wait(30)
        (session,) = smtp_server.service.connections.open
        smtp_server.thread._loop.call_soon_threadsafe(session.stop)
        assert talk.reply().startswith("421 4.3.2 ")
        stalled.set()
        assert talk.at_end()
    eventually(session._handler_coroutine.done)
    assert smtp_server.queue.mails == []
    assert smtp_server.service._context.budget._used == 0


def test_a_transfer_that_does_not_finish_is_cut_with_421_at_the_deadline(smtp_server):
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(b"From: a@example.org\r\n")
        stopping = drain(smtp_server, 0.3)
        assert talk.reply().startswith("421 4.3.2 ")
        assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive() and smtp_server.queue.mails == []


def test_a_commit_that_does_not_end_is_cut_without_a_250_and_disowned(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        stopping = drain(smtp_server, 0.2)
        assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive() and smtp_server.queue.disowned == [smtp_server.queue.last.id]


def test_a_port_that_is_taken_is_said_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address(port=other.getsockname()[1])
        thread = ServiceThread(SmtpService([address], dict, Queue(), SmtpOptions("relay.example.org")))
        with pytest.raises(ListenError, match=f"Cannot listen on {address.name}: another program listens"):
            thread.start()


@second_loopback
def test_several_listeners_serve_at_once(open_smtp_server, tmp_path):
    service = SmtpService(
        [Address(), Address("127.0.0.2")], dict, Queue(), SmtpOptions("relay.example.org", data_dir=tmp_path)
    )
    thread = ServiceThread(service)
    thread.start()
    try:
        for host, port in zip(("127.0.0.1", "127.0.0.2"), service.ports, strict=True):
            with socket.create_connection((host, port), 30) as peer:
                assert peer.recv(100).startswith(b"220 ")
    finally:
        thread.stop(1)


@pytest.mark.parametrize("lines", [["AUTH LOGIN"], ["AUTH LOGIN", "cHJpbnRlcg=="], ["AUTH PLAIN"]])
def test_a_drain_in_the_middle_of_a_login_does_not_wait_for_it(open_smtp_server, lines):
    smtp_server = open_smtp_server(listener=Address(cleartext_auth=True))
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", *lines).startswith("334 ")
        stopping = drain(smtp_server)
        assert talk.reply().startswith("421 4.3.2 ")
        stopping.join(30)
    assert not stopping.is_alive()


def test_a_drain_does_not_wait_for_the_header_of_a_proxy(open_smtp_server):
    smtp_server = open_smtp_server(listener=Address(proxies=(ip_network("127.0.0.0/8"),)))
    with smtp_server.connect(greeting=False) as talk:
        eventually(lambda: len(smtp_server.service.connections.open) == 1)
        stopping = drain(smtp_server)
        assert talk.at_end()
        stopping.join(30)
    assert not stopping.is_alive()
