"""Line ends as clients write them: each is one CR LF in what is stored, and none lets a second mail in."""

import email
import email.policy
import time

import pytest

from mailrelay.smtp import data
from tests.smtp.smtp_server import Address

PDF = b"%PDF-1.4\n%EOF\n"
LINES = [
    b"From: App <app@example.org>", b"To: b@example.net", b"Subject: cr", b"Message-ID: <b1@cases.example>",
    b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=bb", b"", b"--bb",
    b"Content-Type: text/plain; charset=utf-8", b"", b"Gr\xc3\xbc\xc3\x9fe", b"..and a dot", b"--bb",
    b"Content-Type: application/pdf; name=a.pdf", b"Content-Transfer-Encoding: base64",
    b"Content-Disposition: attachment; filename=a.pdf", b"", b"JVBERi0xLjQKJUVPRgo=", b"", b"--bb--",
]  # fmt: skip
CLEAN = b"".join(line.replace(b"..", b".") + b"\r\n" for line in LINES)
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil"
COMMANDS = [b"EHLO x", b"MAIL FROM:<app@example.org>", b"RCPT TO:<b@example.net>", b"DATA"]


def written(end, lines=LINES):
    return b"".join(line + end for line in lines)


def begin(talk, end):
    for command in COMMANDS:
        reply = talk.say(command + end)
    assert reply.startswith("354 ")


@pytest.mark.parametrize("end", [b"\r\r\n", b"\r\r\r\n", b"\r" * 20 + b"\n"], ids=len)
def test_cr_before_the_end_of_a_line_is_no_line_of_its_own(smtp_server, end):
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(written(end) + b".\r\n")
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
    assert smtp_server.queue.content == CLEAN
    parts = list(email.message_from_bytes(smtp_server.queue.content, policy=email.policy.SMTP).iter_parts())
    assert [part.get_payload(decode=True) for part in parts][1] == PDF


@pytest.mark.parametrize(
    "ends", [(b"\r\r\n", b"\r\n"), (b"\r\r\n", b"\n"), (b"\n", b"\r\n", b"\r\r\n")], ids=len
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_mixed_line_ends_are_one_each_wherever_the_stream_is_cut(ends, size):
    raw = b"".join(line + ends[n % len(ends)] for n, line in enumerate(LINES * 3))
    lines, text = data.Lines(), b""
    for start in range(0, len(raw), size):
        text += lines.feed(raw[start : start + size])
    assert text + lines.finish() == CLEAN * 3


@pytest.mark.parametrize("size", [1, 2, 5, 10_000])
def test_chunks_and_mail_by_http_have_the_same_line_ends(size):
    raw, ends, text = written(b"\r\r\n"), data.LineEnds(), b""
    for start in range(0, len(raw), size):
        text += ends.feed(raw[start : start + size])
    assert text + ends.finish() == CLEAN.replace(b"\n.", b"\n..")


@pytest.mark.parametrize("reader", [data.Lines, data.LineEnds])
def test_a_hundred_megabytes_of_cr_are_neither_kept_nor_looked_at_twice(reader):
    lines, kept, started = reader(), 0, time.process_time()
    for _ in range(800):
        kept += len(lines.feed(b"\r" * 131_072))
    assert 800 * 131_072 - kept < 2000
    assert time.process_time() - started < 10


@pytest.mark.parametrize("content", [written(b"\r\r\n"), written(b"\r\n"), b""], ids=["all", "dot", "none"])
def test_a_lone_dot_before_cr_cr_lf_and_silence_end_the_mail(open_smtp_server, content):
    smtp_server = open_smtp_server(settle_seconds=0.1)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(content + b".\r\r\n")
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
        assert talk.say("QUIT").startswith("221 ")
    assert smtp_server.queue.content == (CLEAN if content else b"")


def test_the_default_wait_for_it_is_short(smtp_server):
    started = time.monotonic()
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(written(b"\r\r\n") + b".\r\r\n")
        assert talk.reply().startswith("250 ")
    assert time.monotonic() - started < 8


def test_what_comes_after_an_end_by_silence_is_no_command(open_smtp_server):
    smtp_server = open_smtp_server(settle_seconds=0.1)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(written(b"\r\n") + b".\r\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("NOOP").startswith("250 ")
        talk.send(SMUGGLED + b"\r\n.\r\n")
        assert talk.reply().startswith("421 4.5.0 ")
        assert talk.at_end()
    assert len(smtp_server.queue.mails) == 1


@pytest.mark.parametrize("ending", [b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\r\n"], ids=repr)
@pytest.mark.parametrize("end", [b"\r\n", b"\r\r\n"], ids=repr)
def test_a_lone_dot_before_cr_cr_lf_is_text_where_more_follows(smtp_server, ending, end):
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(written(end) + b"text" + ending + SMUGGLED + b"\r\n.\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("NOOP") == "250 2.0.0 Ok\r\n"
    assert len(smtp_server.queue.mails) == 1
    assert b"\r\nRCPT TO:<victim@example.net>\r\n" in smtp_server.queue.content


def test_a_client_that_ends_every_line_of_its_session_with_cr_cr_lf_need_not_wait(open_smtp_server):
    smtp_server = open_smtp_server(settle_seconds=60)
    with smtp_server.connect() as talk:
        for _ in range(2):
            begin(talk, b"\r\r\n")
            talk.send(written(b"\r\r\n") + b".\r\r\n")
            assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
            assert smtp_server.queue.content == CLEAN
        assert talk.say(b"QUIT\r\r\n").startswith("221 ")
    assert len(smtp_server.queue.mails) == 2


@pytest.mark.parametrize(
    ("policy", "own"), [("normalize", b"\r\r\n"), ("accept", b"\r\r\n"), ("accept", b"\n")], ids=repr
)
@pytest.mark.parametrize(
    "other", [b"one line\r\n", b"\n\r\n", b"\r\r\n\n", b"x" * 200_000 + b"\r\n"], ids=len
)
def test_one_line_that_ends_otherwise_and_no_other_end_counts_any_more(open_smtp_server, policy, own, other):
    smtp_server = open_smtp_server(listener=Address(barelf=policy), settle_seconds=60)
    with smtp_server.connect() as talk:
        begin(talk, own)
        talk.send(written(own) + other + b"text" + own + b"." + own + SMUGGLED + b"\r\n.\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say(b"NOOP" + own) == "250 2.0.0 Ok\r\n"
    assert len(smtp_server.queue.mails) == 1
    assert b"victim@example.net" in smtp_server.queue.content


@pytest.mark.parametrize("cut", [1, 3, 65_536, 10**9])
def test_the_end_by_habit_is_found_wherever_the_stream_is_cut(open_smtp_server, cut):
    smtp_server = open_smtp_server(listener=Address(barelf="accept"), settle_seconds=60)
    lines = [*LINES[:11], b"x" * 65_530, b"y" * 65_536 + b"\ry", b"z" * 140_000, b"..."]
    for own in (b"\n", b"\r\r\n"):
        with smtp_server.connect() as talk:
            begin(talk, own)
            raw = written(own, lines) + b"." + own
            head = raw[: min(len(raw), 50 * cut)]
            for start in range(0, len(head), cut):
                talk.send(head[start : start + cut])
            talk.send(raw[len(head) :])
            assert talk.reply().startswith("250 ")
            assert talk.say(b"QUIT" + own).startswith("221 ")
        assert smtp_server.queue.content == written(b"\r\n", [line.replace(b"...", b"..") for line in lines])


#: Ends with a CR of a line in them, and others.
WITH_CR = [b"\n.\r\n", b"\r\n.\n", b"\r\n\n.\r\n", b"\r\n.\r\r\n", b"\n.\r\r\n", b"\r\r\n.\n"]
ENDINGS = [*WITH_CR, b"\n.\n", b"\n\n.\n", b"\r.\n", b"\r.\r"]


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
@pytest.mark.parametrize("policy", ["accept", "normalize"])
def test_no_second_mail_is_smuggled_in_behind_a_bare_line_feed(open_smtp_server, policy, ending):
    smtp_server = open_smtp_server(listener=Address(barelf=policy))
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(CLEAN + b"text" + ending + SMUGGLED + b"\r\n.\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("NOOP") == "250 2.0.0 Ok\r\n"
    assert len(smtp_server.queue.mails) == 1
    assert b"victim@example.net" in smtp_server.queue.content


@pytest.mark.parametrize("ending", WITH_CR, ids=repr)
def test_nor_in_a_session_of_bare_line_feeds_that_has_a_cr_somewhere(open_smtp_server, ending):
    smtp_server = open_smtp_server(listener=Address(barelf="accept"))
    with smtp_server.connect() as talk:
        begin(talk, b"\n")
        talk.send(written(b"\n") + b"text" + ending + SMUGGLED.replace(b"\r", b"") + b"\n.\n" + b"\r\n.\r\n")
        assert talk.reply().startswith("250 ")
        assert talk.say("NOOP") == "250 2.0.0 Ok\r\n"
    assert len(smtp_server.queue.mails) == 1


def test_a_device_that_knows_bare_line_feeds_alone_sends_mail_after_mail(open_smtp_server):
    smtp_server = open_smtp_server(listener=Address(barelf="accept"), settle_seconds=60)
    with smtp_server.connect() as talk:
        for _ in range(2):
            begin(talk, b"\n")
            talk.send(written(b"\n") + b".\n")
            assert talk.reply().startswith("250 ")
            assert smtp_server.queue.content == CLEAN
        assert talk.say(b"QUIT\n").startswith("221 ")


def test_a_mail_with_mixed_ends_makes_the_next_one_of_its_session_strict(open_smtp_server):
    smtp_server = open_smtp_server(listener=Address(barelf="accept"), bare_lf_seconds=0.2, settle_seconds=60)
    with smtp_server.connect() as talk:
        begin(talk, b"\n")
        talk.send(CLEAN + b".\r\n")
        assert talk.reply().startswith("250 ")
        begin(talk, b"\n")
        talk.send(written(b"\n") + b".\n")
        assert talk.reply().startswith("550 5.5.2 ")
    assert len(smtp_server.queue.mails) == 1


@pytest.mark.parametrize(
    "wrong", [b"\r\n.\r\r\nQUIT\r\n", b"\n.\r\r\n", b"\r\r\n.\n", b"\r\r\n.\nQUIT\r\r\n"], ids=repr
)
def test_another_wrong_end_is_refused_and_does_not_hang(open_smtp_server, wrong):
    smtp_server = open_smtp_server(bare_lf_seconds=0.2)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(CLEAN + b"text" + wrong)
        assert talk.reply().startswith("550 5.5.2 ")
        assert talk.at_end()
    assert smtp_server.queue.mails == []
