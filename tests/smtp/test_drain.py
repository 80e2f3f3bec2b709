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


def drain(door, seconds=30.0):
    """Begin to drain `door`; returns the thread that ends when it is done."""
    thread = threading.Thread(target=door.thread.stop, args=(seconds,))
    thread.start()
    eventually(lambda: door.service.connections.draining)
    return thread


def test_idle_sessions_are_told_421_and_let_go(door):
    with door.connect() as idle, door.connect() as begun:
        begun.say("EHLO x", "MAIL FROM:<a@example.org>")
        stopping = drain(door)
        for talk in (idle, begun):
            assert talk.reply().startswith("421 4.3.2 ")
            assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive()


def test_no_new_connection_is_taken(door):
    with door.connect() as busy:
        busy.begin()
        stopping = drain(door)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.port), 5)
        busy.send(MAIL + b".\r\n")
    stopping.join(30)


def test_mail_in_transfer_finishes_and_quit_is_answered(open_door):
    door = open_door(farewell_seconds=30)
    with door.connect() as talk:
        talk.begin()
        talk.send(b"From: a@example.org\r\n")
        stopping = drain(door)
        talk.send(b"\r\nhello\r\n.\r\n")
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
        assert talk.say("QUIT").startswith("221 2.0.0 ")
    stopping.join(30)
    assert door.queue.content == MAIL


def test_after_its_mail_a_client_is_told_421_on_the_next_command(door):
    with door.connect() as talk:
        talk.begin()
        drain(door)
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("MAIL FROM:<a@example.org>").startswith("421 4.3.2 ")


def test_a_client_that_says_nothing_after_its_mail_does_not_hold_the_drain(open_door):
    door = open_door(farewell_seconds=0.1)
    with door.connect() as talk:
        talk.begin()
        stopping = drain(door)
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.reply().startswith("421 4.3.2 ")
    stopping.join(30)
    assert not stopping.is_alive()


def test_a_commit_finishes_and_its_250_is_written(door):
    door.queue.hold = True
    with door.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(door.queue.waiting) == 1)
        stopping = drain(door)
        door.queue.waiting[0].set_result(None)
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
    stopping.join(30)


def test_a_mail_that_was_answered_421_is_not_stored_though_its_end_was_here(door, monkeypatch):
    writing, stalled = threading.Event(), threading.Event()
    write_out = Spool._write_out

    def stall(self, blocks):
        writing.set()
        stalled.wait(30)
        write_out(self, blocks)

    monkeypatch.setattr(Spool, "_write_out", stall)
    with door.connect() as talk:
        talk.begin()
        talk.send(MAIL + b"x" * MEMORY_LIMIT + b"\r\n.\r\n")
        assert writing.wait(30)
        (session,) = door.service.connections.open
        door.thread._loop.call_soon_threadsafe(session.stop)
        assert talk.reply().startswith("421 4.3.2 ")
        stalled.set()
        assert talk.at_end()
    eventually(session._handler_coroutine.done)
    assert door.queue.mails == []
    assert door.service._context.budget._used == 0


def test_a_transfer_that_does_not_finish_is_cut_with_421_at_the_deadline(door):
    with door.connect() as talk:
        talk.begin()
        talk.send(b"From: a@example.org\r\n")
        stopping = drain(door, 0.3)
        assert talk.reply().startswith("421 4.3.2 ")
        assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive() and door.queue.mails == []


def test_a_commit_that_does_not_end_is_cut_without_a_250_and_disowned(door):
    door.queue.hold = True
    with door.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(door.queue.waiting) == 1)
        stopping = drain(door, 0.2)
        assert talk.at_end()
    stopping.join(30)
    assert not stopping.is_alive() and door.queue.disowned == [door.queue.last.id]


def test_a_port_that_is_taken_is_said_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address(port=other.getsockname()[1])
        thread = ServiceThread(SmtpService([address], dict, Queue(), SmtpOptions("relay.example.org")))
        with pytest.raises(ListenError, match=f"Cannot listen on {address.name}: another program listens"):
            thread.start()


@second_loopback
def test_several_listeners_serve_at_once(open_door, tmp_path):
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
def test_a_drain_in_the_middle_of_a_login_does_not_wait_for_it(open_door, lines):
    door = open_door(listener=Address(cleartext_auth=True))
    with door.connect() as talk:
        assert talk.say("EHLO x", *lines).startswith("334 ")
        stopping = drain(door)
        assert talk.reply().startswith("421 4.3.2 ")
        stopping.join(30)
    assert not stopping.is_alive()


def test_a_drain_does_not_wait_for_the_header_of_a_proxy(open_door):
    door = open_door(listener=Address(proxies=(ip_network("127.0.0.0/8"),)))
    with door.connect(greeting=False) as talk:
        eventually(lambda: len(door.service.connections.open) == 1)
        stopping = drain(door)
        assert talk.at_end()
        stopping.join(30)
    assert not stopping.is_alive()
