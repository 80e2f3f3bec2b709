"""BDAT: chunks as they are, swallowed when they are refused, never read as commands."""

import threading
import time

import pytest

from tests.smtp.smtp_server import PATIENCE, Address, eventually

MAIL = b"From: a@example.org\r\n\r\n.hello\r\n.\r\nworld\r\n"


def begin(talk):
    talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")


def test_a_message_in_one_chunk_keeps_its_dots(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        talk.send(b"BDAT %d LAST\r\n" % len(MAIL) + MAIL)
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
    assert smtp_server.queue.content == MAIL


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_of_any_size_make_the_same_message(smtp_server, size):
    with smtp_server.connect() as talk:
        begin(talk)
        for start in range(0, len(MAIL), size):
            piece = MAIL[start : start + size]
            assert talk.say(b"BDAT %d\r\n" % len(piece) + piece).startswith("250 2.0.0 ")
        assert talk.say("BDAT 0 LAST").startswith("250 2.0.0 Ok: queued as ")
    assert smtp_server.queue.content == MAIL


def test_bare_line_feeds_are_mended_across_chunks(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        for piece in (b"From: a@example.org\r", b"\n\nhello\nworld", b"\r"):
            assert talk.say(b"BDAT %d\r\n" % len(piece) + piece).startswith("250 ")
        assert talk.say("BDAT 0 LAST").startswith("250 ")
    assert smtp_server.queue.content == b"From: a@example.org\r\n\r\nhello\r\nworld\r\n"


def test_line_ends_with_several_cr_are_one_across_chunks(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        for piece in (b"From: a@example.org\r", b"\r", b"\n\r", b"\r\nhello\r\r\n.\r\r\nworld\r", b"\r\r\n"):
            assert talk.say(b"BDAT %d\r\n" % len(piece) + piece).startswith("250 ")
        assert talk.say("BDAT 0 LAST").startswith("250 ")
    assert smtp_server.queue.content == b"From: a@example.org\r\n\r\nhello\r\n.\r\nworld\r\n"


def test_all_may_come_in_one_segment(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x")
        talk.send(
            b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nBDAT 10\r\n" + MAIL[:10]
            + b"BDAT %d LAST\r\n" % (len(MAIL) - 10) + MAIL[10:] + b"QUIT\r\n"
        )  # fmt: skip
        replies = [talk.reply() for _ in range(5)]
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "250", "221"]
    assert smtp_server.queue.content == MAIL


@pytest.mark.parametrize("before", [[], ["MAIL FROM:<a@example.org>"]])
def test_a_refused_chunk_is_swallowed_and_not_read_as_commands(smtp_server, before):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", *before)
        text = b"MAIL FROM:<injected@example.org>\r\nQUIT\r\n"
        talk.send(b"BDAT %d\r\n" % len(text) + text)
        assert talk.reply().startswith("503 5.5.1 ")
        talk.send(b"BDAT %d LAST\r\n" % len(text) + text)
        assert talk.reply().startswith("503 5.5.1 ")
        assert talk.say("MAIL FROM:<b@example.org>").startswith("250 2.1.0 ")
    assert not smtp_server.queue.mails


@pytest.mark.parametrize("argument", ["", "x", "-1", "10 FIRST", "1e3", "9999999999999"])
def test_what_is_no_chunk_ends_the_session(smtp_server, argument):
    with smtp_server.connect() as talk:
        begin(talk)
        assert talk.say(f"BDAT {argument}")[:3] in {"501", "552"}
        assert talk.at_end()


def test_data_does_not_mix_with_chunks(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        assert talk.say(b"BDAT 5\r\nFrom:").startswith("250 ")
        assert talk.say("DATA").startswith("503 5.5.1 ")
        assert talk.say("RSET", "DATA").startswith("503 5.5.1 ")


def test_too_large_a_message_is_refused_at_the_chunk_that_makes_it_so(open_smtp_server):
    smtp_server = open_smtp_server(max_message_size=2000)
    with smtp_server.connect() as talk:
        begin(talk)
        chunk = b"BDAT 1500\r\n" + b"x" * 1500
        assert talk.say(chunk).startswith("250 ")
        assert talk.say(chunk).startswith("552 5.3.4 ")
        assert talk.say(chunk).startswith("503 5.5.1 ")
        assert talk.mail(MAIL[:22] + b"x\r\n").startswith("250 ")


def test_chunks_that_creep_are_one_transfer_that_creeps(open_smtp_server):
    smtp_server = open_smtp_server(data_seconds=0.3, data_bytes_per_second=1_000_000)
    said, end = "250 ", time.monotonic() + PATIENCE
    with smtp_server.connect() as talk:
        begin(talk)
        while said.startswith("250 ") and time.monotonic() < end:
            said = talk.say(b"BDAT 1\r\nx")
    assert said.startswith("421 4.4.2 ")


def test_chunks_that_come_with_their_commands_count_for_the_pace(open_smtp_server):
    smtp_server = open_smtp_server(data_seconds=0.0, data_bytes_per_second=1)
    with smtp_server.connect() as talk:
        begin(talk)
        assert talk.say(b"BDAT 50\r\n" + b"x" * 50).startswith("250 ")
        assert talk.say(b"BDAT 50 LAST\r\n" + b"x" * 50).startswith("250 ")


def test_a_drain_lets_a_message_in_chunks_finish(open_smtp_server):
    smtp_server = open_smtp_server(farewell_seconds=30)
    with smtp_server.connect() as talk:
        begin(talk)
        assert talk.say(b"BDAT 10\r\n" + MAIL[:10]).startswith("250 ")
        stopping = threading.Thread(target=smtp_server.thread.stop, args=(30.0,))
        stopping.start()
        eventually(lambda: smtp_server.service.connections.draining)
        assert talk.say(b"BDAT %d LAST\r\n" % len(MAIL[10:]) + MAIL[10:]).startswith("250 2.0.0 Ok: queued")
    stopping.join(30)
    assert smtp_server.queue.content == MAIL


def test_a_client_between_two_chunks_is_told_421_at_the_end_of_a_drain(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        assert talk.say(b"BDAT 10\r\n" + MAIL[:10]).startswith("250 ")
        stopping = threading.Thread(target=smtp_server.thread.stop, args=(0.1,))
        stopping.start()
        assert talk.reply().startswith("421 4.3.2 ")
    stopping.join(30)


def test_a_connection_cut_in_a_chunk_stores_nothing_and_gives_its_bytes_back(smtp_server):
    with smtp_server.connect() as talk:
        begin(talk)
        talk.say(b"BDAT 10\r\n" + MAIL[:10])
        talk.send(b"BDAT 1000 LAST\r\nabc")
    eventually(lambda: not smtp_server.service.connections.open)
    assert not smtp_server.queue.mails
    assert smtp_server.service._context.budget._used == 0


@pytest.mark.parametrize(
    ("policy", "content", "kept"),
    [
        (
            "accept",
            b"From: a@example.org\n\n..dot\n.x\nend\n.\n",
            b"From: a@example.org\r\n\r\n.dot\r\nx\r\nend\r\n",
        ),
        ("accept", b"From: a@example.org\r\n\r\nend\n.\r\n", b"From: a@example.org\r\n\r\nend\r\n"),
        ("accept", b"From: a@example.org\r\n\r\n" + b"x" * 300_000 + b"\r\n.\r\n", None),
        ("normalize", b"From: a@example.org\n\nend\n\r\n.\r\n", b"From: a@example.org\r\n\r\nend\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_listener_says_what_becomes_of_bare_line_feeds(open_smtp_server, policy, content, kept):
    smtp_server = open_smtp_server(listener=Address(barelf=policy))
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(content)
        assert talk.reply().startswith("250 ")
        assert talk.say("NOOP").startswith("250 ")
    assert smtp_server.queue.content == (content[:-3] if kept is None else kept)


def test_a_listener_may_refuse_bare_line_feeds_in_data_and_chunks(open_smtp_server):
    smtp_server = open_smtp_server(listener=Address(barelf="reject"))
    with smtp_server.connect() as talk:
        assert talk.mail(b"From: a@example.org\r\n\r\nbare\nline\r\n").startswith("550")
        begin(talk)
        assert talk.say(b"BDAT 24 LAST\r\nFrom: a@example.org\n\nabc").startswith("550")
        assert talk.mail(b"From: a@example.org\r\n\r\nclean\r\n").startswith("250 ")
    assert len(smtp_server.queue.mails) == 1


def test_a_line_of_a_mebibyte_is_taken(smtp_server):
    mail = b"From: a@example.org\r\n\r\n" + b"x" * 1_048_576 + b"\r\n"
    with smtp_server.connect() as talk:
        assert talk.mail(mail).startswith("250 ")
    assert smtp_server.queue.content == mail


def test_a_message_that_passed_here_three_times_goes_in_a_circle(open_smtp_server):
    smtp_server = open_smtp_server(loop_token="0123456789abcdef")
    with smtp_server.connect() as talk:
        raw = b"From: a@example.org\r\n\r\nhello\r\n"
        for _ in range(3):
            assert talk.mail(raw).startswith("250 ")
            raw = smtp_server.queue.mails[-1][1]
        assert talk.mail(raw).startswith("554")
