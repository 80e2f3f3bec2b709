r"""`\r+\n` is one line end, wherever a reader meets it: in headers, delimiters, texts and encoded files."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

from mailrelay.mime.compose import compose
from mailrelay.mime.identity import Identity
from mailrelay.mime.parts import index_parts, index_source
from mailrelay.mime.safe import is_clean
from mailrelay.mime.source import MOST_CR, Windowed
from mailrelay.smtp.data import MOST_CR as MOST_WAITING
from mailrelay.smtp.data import LineEnds
from mailrelay.vocabulary import FromPolicy
from tests.harness.linear import assert_linear
from tests.mime.test_taking_apart import Bytes

MAIL = """\
From: App <relay@example.org>
To: b@example.org
Subject: cr
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary=bb

--bb
Content-Type: text/plain; charset=utf-8

Grüße

zwei

--bb
Content-Type: application/pdf; name=a.pdf
Content-Transfer-Encoding: base64

JVBERi0x
LjQKJUVPRgo=

--bb
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

so=
ft =C3=A4

--bb--
""".encode()


def sent(raw):
    made = compose(
        raw,
        recipients=["b@example.org"],
        identity=Identity(FromPolicy.REWRITE, "relay@example.org"),
        header_from="relay@example.org",
        message_id="<made@example.org>",
        date=datetime(2026, 11, 30, tzinfo=UTC),
    )
    return b"".join(made.parts)


def contents(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n", b"\r\r\r\n", b"\r" * 20 + b"\n"])
def test_a_mail_reads_the_same_whatever_ends_its_lines(end):
    made = sent(MAIL.replace(b"\n", end))

    assert is_clean(made)
    assert contents(made) == ["Grüße\r\n\r\nzwei\r\n".encode(), b"%PDF-1.4\n%EOF\n", "soft ä\r\n".encode()]


def test_line_ends_of_two_kinds_in_one_mail_are_each_one():
    lines = MAIL.split(b"\n")
    mixed = b"".join(line + (b"\r\r\n" if number % 2 else b"\r\n") for number, line in enumerate(lines))

    assert contents(sent(mixed)) == contents(sent(MAIL))


@pytest.mark.parametrize("end", [b"\r\n", b"\r\r\n", b"\r\r\r\n"])
def test_no_cr_of_the_line_before_a_delimiter_belongs_to_the_part(end):
    data = MAIL.replace(b"\n", end)
    parts = index_parts(data)

    assert index_source(Windowed(Bytes(data))) == parts
    assert [data[part.body_end - 1 : part.body_end] for part in parts[1:]] == [b"\n"] * 3


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\r\r\n", b"\r\r\r\n"])
def test_pieces_of_any_size_get_single_line_ends(size, end):
    data, ends = MAIL.replace(b"\n", end), LineEnds()

    found = b"".join(ends.feed(data[at : at + size]) for at in range(0, len(data), size)) + ends.finish()

    assert found == MAIL.replace(b"\n", b"\r\n")
    assert not ends.bare


def test_cr_that_no_lf_follows_stay():
    ends = LineEnds()

    assert ends.feed(b"a\r\rb\r\r") + ends.feed(b"c") + ends.finish() == b"a\r\rb\r\rc\r\n"


def test_a_long_run_of_cr_takes_time_in_proportion_to_its_length():
    def feed(blocks):
        ends = LineEnds()
        return [ends.feed(block) for block in blocks]

    assert_linear(feed, lambda n: [b"\r" * 65_536] * (n * 20))
    assert MOST_WAITING == MOST_CR
