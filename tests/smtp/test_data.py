"""DATA: what is stored is what was sent, and nothing but <CRLF>.<CRLF> ends it."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.smtp import data
from tests.smtp.smtp_server import eventually

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
HEADER = b"From: App <app@example.org>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@x>\r\n\r\n"


def test_a_mail_is_queued_under_the_id_that_the_client_is_told(smtp_server):
    with smtp_server.connect() as talk:
        reply = talk.mail(HEADER + b"hello\r\n", "app@example.org", "b@example.net", "c@example.net")
    mail = smtp_server.queue.last
    assert reply == f"250 2.0.0 Ok: queued as {mail.id.hex}\r\n"
    assert smtp_server.queue.content == HEADER + b"hello\r\n"
    assert (mail.mail_from, mail.recipients) == ("app@example.org", ("b@example.net", "c@example.net"))
    assert (mail.header_from, mail.subject, mail.message_id) == ("app@example.org", "Gr\u00fc\u00dfe", "1@x")
    assert (mail.client_id, mail.client_key, mail.client_address) == (None, "127.0.0.1", "127.0.0.1")
    assert (mail.client_name, mail.sender_id, mail.registration_id) == ("client.example.org", 1, 7)
    assert mail.content.size == len(smtp_server.queue.mails[0][1])


def test_a_received_field_stands_on_top_and_names_no_recipient(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(HEADER + b"hello\r\n")
    raw, queue_id = smtp_server.queue.mails[0][1], smtp_server.queue.last.id.hex.encode()
    trace = (
        rb"Received: from client\.example\.org \(\[127\.0\.0\.1\]\)\r\n\tby relay\.example\.org with ESMTP"
    )
    assert re.match(trace + rb" id " + queue_id + rb";\r\n\t\w{3}, \d\d \w{3} \d{4} .*\r\nFrom: App ", raw)
    assert b"example.net" not in raw


def test_a_client_name_that_is_none_cannot_write_headers(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x) evil\tname (", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA")
        talk.say(HEADER + b".\r\n")
    assert smtp_server.queue.mails[0][1].startswith(b"Received: from unknown ([127.0.0.1])\r\n")


def test_stuffed_dots_are_taken_away(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(HEADER + b"..\r\n...two\r\n.one\r\nin.side\r\n")
    assert smtp_server.queue.content == HEADER + b".\r\n..two\r\none\r\nin.side\r\n"


def test_an_empty_message_is_taken(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.mail(b"").startswith("250 ")
    assert smtp_server.queue.content == b""


@pytest.mark.parametrize(
    "content",
    [b"Subject: no body\r\n", b"Subject: no body\r\n\r\n", b"\r\n", b"\r\nonly a body\r\n", b"..\r\n"],
)
def test_header_without_body_and_body_without_header_are_taken(smtp_server, content):
    with smtp_server.connect() as talk:
        assert talk.mail(content).startswith("250 ")
    assert smtp_server.queue.content.removeprefix(b"\r\n") == content.replace(b"..", b".").removeprefix(
        b"\r\n"
    )


def test_text_without_a_header_does_not_become_part_of_ours(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(b"just text\r\n")
    assert smtp_server.queue.content == b"\r\njust text\r\n"


@pytest.mark.parametrize(
    "content",
    [
        b"From here on all is well\r\nsecond line\r\n",
        b"From here on all is well\r\nNote: it is text\r\n",
        b"From a@example.org Thu Jan  1 00:00:00 1970\r\nsecond line\r\n",
    ],
)
def test_text_that_begins_with_the_word_from_loses_no_line(smtp_server, content):
    with smtp_server.connect() as talk:
        talk.mail(content)
    assert smtp_server.queue.content == b"\r\n" + content


def test_the_mbox_line_of_careless_clients_is_dropped(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(b"From a@example.org Thu Jan  1 00:00:00 1970\r\n" + HEADER + b"x\r\n")
    assert smtp_server.queue.content == HEADER + b"x\r\n"
    assert smtp_server.queue.last.content.size == len(smtp_server.queue.mails[0][1])


def test_bare_line_feeds_become_crlf(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(b"From: a@example.org\nSubject: printer\n\none\ntwo\r\nthree\r\n")
    assert (
        smtp_server.queue.content == b"From: a@example.org\r\nSubject: printer\r\n\r\none\r\ntwo\r\nthree\r\n"
    )
    assert smtp_server.queue.last.subject == "printer"


@pytest.mark.parametrize("cut", range(1, 16))
def test_dots_that_were_stuffed_behind_bare_line_feeds_are_taken_away(cut):
    lines = data.Lines()
    wire = b"a\n..b\n...\n.c\r\n..d\r\n"
    text = lines.feed(wire[:cut]) + lines.feed(wire[cut:]) + lines.finish()
    assert text == b"a\r\n.b\r\n..\r\n.c\r\n.d\r\n"


def test_nul_and_8_bit_content_is_kept(smtp_server):
    content = HEADER + b"a\0b \xff\xfe \xc3\xa4\r\n"
    with smtp_server.connect() as talk:
        assert talk.mail(content).startswith("250 ")
    assert smtp_server.queue.content == content


def test_header_texts_hold_neither_nul_nor_surrogates(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.mail(b"From: a@example.org\r\nSubject: a\0b\xff\r\nMessage-ID: \0\r\n\r\n").startswith(
            "250"
        )
    for text in (
        smtp_server.queue.last.subject,
        smtp_server.queue.last.message_id,
        smtp_server.queue.last.header_from,
    ):
        assert "\0" not in text
        text.encode()


def test_a_message_without_an_id_gets_ours(smtp_server):
    with smtp_server.connect() as talk:
        talk.mail(b"From: a@example.org\r\n\r\nx\r\n")
    assert smtp_server.queue.last.message_id == f"{smtp_server.queue.last.id.hex}@relay.example.org"


def test_texts_fit_the_columns(smtp_server):
    long = b"x" * 3000
    with smtp_server.connect() as talk:
        talk.say(
            b"EHLO " + b"h" * 700 + b"\r\n", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"
        )
        talk.say(b"Subject: " + long + b"\r\nMessage-ID: <" + long + b">\r\n\r\n.\r\n")
    mail = smtp_server.queue.last
    assert (len(mail.subject), len(mail.message_id), len(mail.client_name)) == (500, 998, 255)


ENDINGS = [
    b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n",
]  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_but_the_one_ending_ends_data(smtp_server, ending):
    smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil"
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(HEADER + b"text" + ending + smuggled + b"\r\n.\r\n")
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
        assert talk.say("NOOP") == "250 2.0.0 Ok\r\n"
    assert len(smtp_server.queue.mails) == 1
    assert b"victim@example.net" in smtp_server.queue.content


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_dots_and_line_ends_are_right_at_every_border(size):
    raw = b"..a\r\n..\r\n\r\n...\r\nb\nc\r\n..d\n\n..\n\r\n.e\rf\r\r\n..g\r\n"
    lines, text = data.Lines(), b""
    for start in range(0, len(raw), size):
        text += lines.feed(raw[start : start + size])
    text += lines.finish()
    assert text == b".a\r\n.\r\n\r\n..\r\nb\r\nc\r\n.d\r\n\r\n.\r\n\r\ne\rf\r\n.g\r\n"


@given(st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"ab", b"..", b"\0"])), st.data())
def test_unstuffing_undoes_stuffing_wherever_the_stream_is_cut(pieces, draw):
    text = b"".join(pieces) + b"\r\n"
    raw = re.sub(rb"(?m)^\.", rb"..", text)  # as smtplib does it: behind bare line feeds too
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(raw)))))
    lines, read = data.Lines(), b""
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        read += lines.feed(raw[start:end])
    assert read + lines.finish() == re.sub(rb"\r*\n", b"\r\n", text)


def test_an_end_that_arrives_byte_by_byte_is_the_end(smtp_server):
    with smtp_server.connect() as talk:
        talk.begin()
        for byte in HEADER + b"x\r\n.\r\n":
            talk.send(bytes([byte]))
        assert talk.reply().startswith("250 ")
    assert smtp_server.queue.content == HEADER + b"x\r\n"


def test_a_client_with_bare_line_feeds_only_does_not_hang(open_smtp_server):
    smtp_server = open_smtp_server(bare_lf_seconds=0.2)
    with smtp_server.connect() as talk:
        talk.say(b"EHLO x\n", b"MAIL FROM:<a@example.org>\n", b"RCPT TO:<b@example.net>\n", b"DATA\n")
        talk.send(b"From: a@example.org\n\nhello\n.\nQUIT\n")
        reply = talk.reply()
        assert reply.startswith("550 5.5.2 ") and "CR LF" in reply
        assert talk.at_end()
    assert smtp_server.queue.mails == []


def test_silence_within_text_is_not_taken_for_wrong_line_ends(open_smtp_server):
    smtp_server = open_smtp_server(bare_lf_seconds=0.05, data_idle_seconds=0.4)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(HEADER + b"text\r\n.\r")
        assert talk.reply().startswith("421 4.4.2 ")


def test_a_trickle_below_the_least_rate_is_ended_with_421(open_smtp_server):
    smtp_server = open_smtp_server(data_seconds=0.3, data_bytes_per_second=1_000_000, bare_lf_seconds=0.05)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.socket.settimeout(0.05)
        said = b""
        for _ in range(1000):
            try:
                talk.send(b"x")
                said = talk.socket.recv(100)
                break
            except TimeoutError:
                continue
        assert said.startswith(b"421 4.4.2 ")
    assert smtp_server.queue.mails == []


@pytest.mark.parametrize("text", [b"x" * 70 + b"\r\n", b"<p>no line ends at all</p>"])
def test_a_message_over_the_maximum_is_refused_after_its_end_and_the_session_goes_on(open_smtp_server, text):
    smtp_server = open_smtp_server(max_message_size=100_000)
    content = HEADER + text * (3_000_000 // len(text)) + b"\r\n"
    with smtp_server.connect() as talk:
        reply = talk.mail(content)
        assert reply.startswith("552 5.3.4 ") and "100000" in reply
        assert talk.mail(HEADER + b"small\r\n").startswith("250 ")
    assert len(smtp_server.queue.mails) == 1


def test_a_message_of_exactly_the_maximum_is_taken(open_smtp_server):
    smtp_server = open_smtp_server(max_message_size=len(HEADER) + 10)
    with smtp_server.connect() as talk:
        assert talk.mail(HEADER + b"12345678\r\n").startswith("250 ")
        assert talk.mail(HEADER + b"123456789\r\n").startswith("552 ")


def test_what_graph_would_not_take_is_refused_by_its_size_as_it_will_be_sent(smtp_server):
    line = b"x" * 76 + b"\r\n"
    fits = HEADER + line * ((3_145_728 - 20_000) // 78)
    with smtp_server.connect() as talk:
        assert talk.mail(fits).startswith("250 ")
        reply = talk.mail(HEADER + line * (3_145_728 // 78 + 1))
        assert reply.startswith("552 5.3.4 ") and "3145728" in reply
        # One byte that is not ASCII, and the whole part travels in base64.
        assert talk.mail(fits + b"\xe4\r\n").startswith("552 5.3.4 ")
    assert len(smtp_server.queue.mails) == 1


def test_a_header_over_its_limit_is_refused(smtp_server):
    with smtp_server.connect() as talk:
        reply = talk.mail(b"X: " + b"y" * 70 + b"\r\n" + (b"X: " + b"y" * 70 + b"\r\n") * 4000 + b"\r\n")
        assert reply.startswith("552 5.3.4 The header ")
        assert talk.say("NOOP").startswith("250 ")


def test_a_hundred_thousand_short_headers_do_not_stop_the_listener(smtp_server):
    with smtp_server.connect() as talk:
        assert talk.mail(HEADER[:-2] + b"A:\r\n" * 60_000 + b"\r\nx\r\n")[:3] in {"250", "552"}
        assert talk.say("NOOP").startswith("250 ")


def test_mime_a_thousand_deep_is_delivered_as_it_is(smtp_server):
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)
    )
    with smtp_server.connect() as talk:
        assert talk.mail(HEADER[:-2] + parts + b"\r\nx\r\n").startswith("250 ")
    assert smtp_server.queue.content == HEADER[:-2] + parts + b"\r\nx\r\n"


def test_a_message_that_goes_in_a_circle_is_refused(smtp_server):
    hop = b"Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n"
    with smtp_server.connect() as talk:
        assert talk.mail(hop * 49 + HEADER).startswith("250 ")
        assert talk.mail(hop * 50 + HEADER).startswith("554 5.4.6 ")


@linux
def test_a_connection_cut_in_mid_data_stores_nothing(smtp_server):
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(HEADER + b"x" * 600_000)
        eventually(lambda: len(open_spools(smtp_server)) == 1)
    eventually(lambda: not smtp_server.service.connections.open)
    assert smtp_server.queue.mails == []
    assert open_spools(smtp_server) == []


def open_spools(smtp_server):
    """The files without a name that this process holds in the spool."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(link.readlink()))
    return [path for path in found if str(smtp_server.data_dir / "spool") in path]


@linux
def test_a_line_that_has_to_be_encoded_counts_as_what_it_becomes(smtp_server):
    """Base64 of 2.4 MB fits nothing that takes 3 MiB at once; in lines it goes as it is."""
    long, short = b"x" * 2_400_000, (b"x" * 70 + b"\r\n") * 33_333
    with smtp_server.connect() as talk:
        reply = talk.mail(HEADER + long + b"\r\n")
        assert talk.mail(HEADER + short).startswith("250 ")
        assert talk.mail(HEADER + long[:2_200_000] + b"\r\n").startswith("250 ")

    said = re.match(r"552 5\.3\.4 The message would have ([0-9]+) bytes as it is sent", reply)
    assert 3_280_000 < int(said[1]) < 3_300_000


def test_a_large_mail_leaves_no_file_behind(smtp_server):
    content = HEADER + (b"x" * 76 + b"\r\n") * 20_000
    with smtp_server.connect() as talk:
        assert talk.mail(content).startswith("250 ")
    assert smtp_server.queue.content == content
    assert open_spools(smtp_server) == []
    assert list((smtp_server.data_dir / "spool").iterdir()) == []


def test_pipelined_mails_are_all_taken(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x")
        one = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n" + HEADER + b"x\r\n.\r\n"
        talk.send(one * 20 + b"QUIT\r\n")
        codes = [talk.reply()[:3] for _ in range(81)]
    assert codes == ["250", "250", "354", "250"] * 20 + ["221"]
    assert len(smtp_server.queue.mails) == 20


MEMORY = """
import resource, socket, tempfile
from pathlib import Path
import django
django.setup()
from mailrelay.routing.table import RoutingTable
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ServiceThread, SmtpService
from tests.smtp.smtp_server import LOOPBACK, SENDER, Address, Queue

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with tempfile.TemporaryDirectory() as where:
    routing = RoutingTable((SENDER,), (LOOPBACK,))
    options = SmtpOptions("relay.example.org", data_dir=Path(where), min_free_bytes=0)
    thread = ServiceThread(SmtpService([Address()], lambda: routing, Queue(), options))
    thread.start()
    before = peak()
    peer = socket.create_connection(("127.0.0.1", thread.service.ports[0]))
    peer.sendall(b"EHLO x\\r\\nMAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\n")
    peer.sendall(b"From: a@example.org\\r\\n\\r\\n")
    lines = (b"x" * 76 + b"\\r\\n") * 1000
    for _ in range(35_000_000 // len(lines)):
        peer.sendall(lines)
    peer.sendall(b".\\r\\nQUIT\\r\\n")
    replies = peer.makefile("rb").read()
    after = peak()
    thread.stop(1)
print(after - before, replies.splitlines()[-2][:9].decode())
"""


@linux  # elsewhere ru_maxrss has another unit
def test_a_mail_of_35_mb_does_not_stand_in_memory():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    kibibytes, reply = done.stdout.split(maxsplit=1)
    assert reply.strip() == "552 5.3.4"  # too large for Graph's direct route, found without holding it
    assert int(kibibytes) < 8 * 1024


def test_a_header_that_outgrows_exchange_when_it_is_encoded_is_refused_before_the_250(smtp_server):
    raw = b"X-Note: " + b"\xe4" * 900 + b"\r\n"
    with smtp_server.connect() as talk:
        reply = talk.mail(raw * 89 + HEADER + b"hello\r\n")
        again = talk.mail(raw * 20 + HEADER + b"hello\r\n")

    assert reply.startswith("552 5.3.4 The header of the message would have ")
    assert again.startswith("250 ")
