"""Holding under load: bytes in transfer, connections that give way, short patience under stress."""

import contextlib
import itertools
import threading
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp.budget import Budget
from mailrelay.smtp.connections import Connections
from mailrelay.smtp.failures import ADDRESS_LIMIT, Failures
from mailrelay.smtp.spool import MEMORY_LIMIT, Spool
from mailrelay.smtp.transfer import Transfer
from tests.smtp.smtp_server import LOOPBACK, SENDER, eventually, second_loopback

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"
SMALL = b"From: a@example.org\r\n\r\n" + b"x" * 500 + b"\r\n"


def begin(talk, size=None):
    parameter = f" SIZE={size}" if size else ""
    talk.say("EHLO x", f"MAIL FROM:<a@example.org>{parameter}", "RCPT TO:<b@example.net>")
    return talk.say("DATA")


def test_bytes_in_transfer_are_bounded_and_what_is_put_off_is_taken_later(open_smtp_server):
    smtp_server = open_smtp_server(max_bytes_in_transfer=1000)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        assert begin(one, 800).startswith("354 ")
        refused = begin(two, 800)
        assert refused.startswith("452") and "SMTP_MAX_BYTES_IN_TRANSFER" in refused
        one.send(MAIL + b".\r\n")
        assert one.reply().startswith("250 ")
        assert two.say("RSET").startswith("250 ")
        assert begin(two, 800).startswith("354 ")


def test_what_was_not_declared_counts_as_it_comes(open_smtp_server):
    smtp_server = open_smtp_server(max_bytes_in_transfer=1000)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        assert begin(one, 800).startswith("354 ")
        assert begin(two).startswith("354 ")
        two.send(SMALL + b".\r\n")
        assert two.reply().startswith("452")
        one.send(MAIL + b".\r\n")
        assert one.reply().startswith("250 ")
        assert two.mail(SMALL).startswith("250 ")
    eventually(lambda: smtp_server.service._context.budget._used == 0)


def test_one_message_is_taken_however_small_the_budget(open_smtp_server):
    with open_smtp_server(max_bytes_in_transfer=100).connect() as talk:
        assert talk.mail(SMALL).startswith("250 ")


def test_who_is_put_off_gives_way_to_the_others_at_once(open_smtp_server):
    smtp_server = open_smtp_server(max_bytes_in_transfer=1000)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        for talk in (one, two):
            begin(talk)
            talk.send(SMALL[:300])
        eventually(lambda: smtp_server.service._context.budget._used == 600)
        two.send(b"x" * 600)
        eventually(lambda: smtp_server.service._context.budget._used == 300)
        one.send(SMALL[300:] + b".\r\n")
        assert one.reply().startswith("250 ")
        two.send(b"\r\n.\r\n")
        assert two.reply().startswith("452 4.3.1 ")


def test_one_message_is_taken_however_many_blocks_it_comes_in(open_smtp_server):
    with open_smtp_server(max_bytes_in_transfer=1000).connect() as talk:
        assert talk.mail(SMALL + b"y" * 300_000 + b"\r\n").startswith("250 ")


@second_loopback
def test_one_client_leaves_room_for_others(open_smtp_server):
    smtp_server = open_smtp_server(max_bytes_in_transfer=10_000)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(smtp_server.connect()) for _ in range(3)]
        assert [begin(talk, 3000)[:3] for talk in many] == ["354", "354", "452"]
        with smtp_server.connect(source="127.0.0.2") as other:
            assert begin(other, 3000).startswith("354 ")


@pytest.mark.parametrize("end", ["commit", "refusal", "cut", "rset"])
def test_the_budget_is_given_back_however_a_message_ends(smtp_server, end):
    with smtp_server.connect() as talk:
        if end == "rset":
            talk.say("EHLO x", "MAIL FROM:<a@example.org> SIZE=5000", "RCPT TO:<b@example.net>")
            talk.say(b"BDAT 5\r\nabcde")
            talk.say("RSET")
        else:
            begin(talk, 5000)
            ends = {
                "commit": MAIL + b".\r\n",
                "refusal": b"Received: x\r\n" * 60 + b"\r\n.\r\n",
                "cut": b"abc",
            }
            talk.send(ends[end])
            if end != "cut":
                talk.reply()
    eventually(lambda: smtp_server.service._context.budget._used == 0)


def test_leases_are_counted_once():
    budget = Budget(100)
    one, two = budget.lease("one"), budget.lease("two")
    assert one.grow_to(60) and one.grow_to(50) and not two.grow_to(41) and two.grow_to(40)
    one.release()
    one.release()
    assert two.grow_to(100) and budget._used == 100


def test_at_the_cap_idle_connections_give_way_to_a_client_that_comes(open_smtp_server):
    smtp_server = open_smtp_server(max_connections=3)
    idle = [smtp_server.connect() for _ in range(3)]

    def served():
        with smtp_server.connect(greeting=False) as talk:
            return talk.reply().startswith("220 ")

    eventually(served)
    assert idle[0].reply().startswith("421 4.7.0 ")
    for talk in idle:
        talk.close()


def test_a_client_that_sends_a_mail_does_not_give_way(open_smtp_server, monkeypatch):
    monkeypatch.setattr("mailrelay.smtp.connections.IDLE_SECONDS", 0.0)
    smtp_server = open_smtp_server(max_connections=2)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        begin(one)
        two.say("EHLO x", "MAIL FROM:<a@example.org>")
        with smtp_server.connect(greeting=False) as three:
            assert three.reply().startswith("421 4.7.0 ")
        one.send(MAIL + b".\r\n")
        assert one.reply().startswith("250 ")
        assert two.say("RCPT TO:<b@example.net>").startswith("250 ")


@second_loopback
def test_strangers_make_room_whatever_they_say(open_smtp_server, monkeypatch):
    monkeypatch.setattr("mailrelay.smtp.connections.IDLE_SECONDS", 0.0)
    listed = Client(1, "listed", (ip_network("127.0.0.2/32"),))
    smtp_server = open_smtp_server(RoutingTable((SENDER,), (listed,)), max_connections=2)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        one.say("EHLO x", "MAIL FROM:<a@example.org>", "NOOP")
        two.say("EHLO x", "MAIL FROM:<a@example.org>")
        two.send(b"BDAT 1000\r\n")
        with smtp_server.connect(source="127.0.0.2"), smtp_server.connect(source="127.0.0.2"):
            assert one.reply().startswith("421 4.7.0 ")
            assert two.reply().startswith("421 4.7.0 ")


def test_who_only_idles_makes_room_before_who_sends_mail(open_smtp_server, monkeypatch):
    monkeypatch.setattr("mailrelay.smtp.connections.IDLE_SECONDS", 0.0)
    smtp_server = open_smtp_server(max_connections=2)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        two.say("EHLO x", "MAIL FROM:<a@example.org>", "RSET")
        one.say("NOOP")
        with smtp_server.connect():
            assert one.reply().startswith("421 4.7.0 ")
            assert two.say("NOOP").startswith("250 ")


def test_a_mail_that_was_begun_and_left_makes_room_in_the_end(open_smtp_server, monkeypatch):
    smtp_server = open_smtp_server(max_connections=1)
    with smtp_server.connect() as left:
        left.say("EHLO x", "MAIL FROM:<a@example.org>", "NOOP")
        (session,) = smtp_server.service.connections.open
        assert session.idle() < 0
        monkeypatch.setattr(session, "_useful", session.loop.time() - 15)
        with smtp_server.connect():
            assert left.reply().startswith("421 4.7.0 ")


def test_commands_that_bring_no_mail_nearer_have_an_end(open_smtp_server):
    smtp_server = open_smtp_server(max_idling=4)
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "NOOP", "RSET", "VRFY x").startswith("252 ")
        assert talk.say("NOOP").startswith("421 4.7.0 ")
        assert talk.at_end()
    with smtp_server.connect() as talk:
        for _ in range(5):
            assert talk.mail(MAIL).startswith("250 ")
            assert talk.say("NOOP", "RSET").startswith("250 ")


def test_an_ipv6_host_is_counted_by_its_network_unless_it_is_listed():
    listed = ip_network("2001:db8:1::/64")
    connections = Connections(100, 2, lambda address: 0 if ip_address(address) in listed else None)

    def refused(address):
        return connections.name(SimpleNamespace(counted_for=""), address)

    assert not refused("2001:db8::1") and not refused("2001:db8::2")
    assert "from 2001:db8::/64," in refused("2001:db8::3").line
    assert not any(refused(f"2001:db8:1::{number}") for number in range(1, 5))
    assert not refused("198.51.100.1")


def test_failed_logins_of_an_ipv6_network_count_together():
    failures = Failures(lambda: 0.0)
    for number in range(ADDRESS_LIMIT):
        failures.add(f"2001:db8::{number:x}", f"name{number}")
    assert failures.of_either("2001:db8::ffff", "printer")
    assert not failures.of_either("2001:db8:1::1", "printer")


def test_under_stress_patience_is_short(open_smtp_server):
    smtp_server = open_smtp_server(max_connections=5, stress_seconds=0.2, stress_errors=2)
    calm = [smtp_server.connect() for _ in range(4)]
    with smtp_server.connect() as fifth:
        assert REGISTRY.get_sample_value("graph_smtp_stressed") == 1
        assert fifth.say("NONSENSE").startswith("500 ")
        assert fifth.say("NONSENSE").startswith("500 ")
        assert fifth.reply().startswith("421 4.7.0 ")
    eventually(lambda: len(smtp_server.service.connections.open) == 4)
    with smtp_server.connect() as sixth:
        assert sixth.reply().startswith("421 4.4.2 ")
    for talk in calm:
        assert talk.say("NOOP").startswith("250 ")
        talk.close()


def test_a_client_that_does_not_read_its_receipt_is_let_go(open_smtp_server, monkeypatch):
    monkeypatch.setattr("mailrelay.smtp.connection.LINGER_SECONDS", 0.1)
    smtp_server = open_smtp_server(command_seconds=0.5)
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        (session,) = smtp_server.service.connections.open
        # More than the buffers of both ends take.
        session.loop.call_soon_threadsafe(session.transport.write, b"250-x\r\n" * 4_000_000)
        eventually(lambda: session._paused)
        smtp_server.queue.waiting[0].set_result(None)
        eventually(lambda: not smtp_server.service.connections.open)


def test_a_disk_that_stands_still_is_not_the_clients_silence(open_smtp_server, monkeypatch):
    stalled, watched, looks = threading.Event(), threading.Event(), itertools.count(1)
    write_out, excuse = Spool._write_out, Transfer.excuse

    def stall(self, blocks):
        stalled.wait(30)
        write_out(self, blocks)

    def watch(self, now):
        excuse(self, now)
        if next(looks) == 5:  # of which each is later by a tenth of a second
            watched.set()

    monkeypatch.setattr(Spool, "_write_out", stall)
    monkeypatch.setattr(Transfer, "excuse", watch)
    smtp_server = open_smtp_server(data_idle_seconds=0.2, bare_lf_seconds=0.1, data_seconds=0.3)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b"x" * MEMORY_LIMIT + b"\r\n.\r\n")
        assert watched.wait(30)
        stalled.set()
        assert talk.reply().startswith("250 ")


def test_a_full_disk_is_452_and_passes_by_itself(open_smtp_server, monkeypatch):
    smtp_server = open_smtp_server()
    with smtp_server.connect() as talk:
        monkeypatch.setattr(smtp_server.service._context.space, "_floor", 1 << 60)
        monkeypatch.setattr("mailrelay.smtp.disk_space.Space._spare_in", lambda *_: 0)
        eventually(lambda: talk.say("RSET", "MAIL FROM:<a@example.org> SIZE=1000").startswith("452 4.3.1 "))
        monkeypatch.undo()
        eventually(lambda: talk.say("RSET", "MAIL FROM:<a@example.org> SIZE=1000").startswith("250 "))


def test_every_refusal_in_the_log_names_the_client_the_rule_and_what_to_do(open_smtp_server, caplog):
    caplog.set_level("INFO")
    limited = Client(5, "Monitoring", (ip_network("127.0.0.1/32"),), frozenset({"@example.org"}))
    smtp_server = open_smtp_server(RoutingTable((SENDER,), (limited, replace(LOOPBACK, networks=()))))
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<a@example.com>").startswith("550")
    line = next(record.getMessage() for record in caplog.records if "client-from" in record.getMessage())
    assert "client=127.0.0.1 (Monitoring)" in line and "rule=client-from" in line
    assert "add the address or its domain to the client" in line
