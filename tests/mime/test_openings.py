"""What stands before a header is forgiven where a header follows, and text stays text."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

from mailrelay.mime.compose import compose
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.filename import filename
from mailrelay.mime.headers import PREFACE, HeaderBlock, header_start
from mailrelay.mime.identity import Identity
from mailrelay.mime.parts import index_parts, index_source
from mailrelay.mime.source import Windowed
from mailrelay.vocabulary import FromPolicy
from tests.harness.linear import assert_linear
from tests.mime.test_taking_apart import Bytes

HEADER = b"From: relay@example.org\r\nTo: b@example.org\r\nSubject: s\r\n\r\nbody\r\n"
BOM = b"\xef\xbb\xbf"
MBOX = b"From relay@example.org Mon Nov 30 10:00:00 2026\r\n"


def sent(raw):
    made = compose(
        raw,
        recipients=["b@example.org"],
        identity=Identity(FromPolicy.REWRITE, "relay@example.org"),
        header_from="",
        message_id="<made@example.org>",
        date=datetime(2026, 11, 30, tzinfo=UTC),
    )
    return b"".join(made.parts)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        BOM,
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b" \r\n\t\r\n",
        b"\r\r\n",
        BOM + b"\r\n",
        MBOX,
        b"\r\n" + MBOX,
        BOM + MBOX,
        b"\r\n" + BOM,
        b" ",
        b"\t",
        b"\r\n ",
        b"From relay@example.org\r\n",
        b">From -\r\n",
        b"\r\nFrom MAILER-DAEMON\r\n",
    ],
)
def test_a_header_behind_this_is_the_header(before):
    headers = HeaderBlock.parse(before + HEADER)

    assert headers.fields == HeaderBlock.parse(HEADER).fields
    assert (before + HEADER)[headers.body_offset :] == b"body\r\n"


@pytest.mark.parametrize(
    "text",
    [
        b"\r\nhello\r\n",
        b"\r\nTemperature: 81 C\r\nPressure: 2 bar\r\n\r\nmore\r\n",
        b"\r\nDate: 2026-11-30\r\nPages: 3\r\n\r\n",
        b"\r\n Subject: no\r\n Date: no\r\n",
        b"\r\nFrom here on: all\r\nTo the end: all\r\n",
        BOM + b"hello: \xef\xbb\xbf"[5:] + b"world\r\n",
        b"\r\nFrom a friend Mon\r\n",
        b"From a friend\r\nNote: buy milk\r\nTo: do\r\n",
        b" Subject: no\r\nNote: no\r\n",
        b"\r\n" * PREFACE + HEADER,
    ],
)
def test_text_that_begins_like_this_is_text(text):
    headers = HeaderBlock.parse(text)

    assert headers.fields == []
    assert text[headers.body_offset :].strip(b"\r\n") == text.strip(b"\r\n")


@pytest.mark.parametrize("blank", [b" ", b"\t", b" \t "])
def test_a_blank_before_the_colon_makes_no_mbox_line_of_a_field(blank):
    headers = HeaderBlock.parse(
        b"From" + blank + b": a@example.org\r\nTo: b@example.org\r\nSubject: s\r\n\r\n"
    )

    assert [field.name for field in headers.fields] == ["From", "To", "Subject"]


def test_an_embedded_message_is_found_behind_a_blank_line():
    inner = (
        b"\r\nSubject: s\r\nDate: x\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
        b"--i\r\n\r\ntext\r\n--i--\r\n"
    )
    data = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner + b"--o--\r\n"
    )  # fmt: skip
    parts = index_parts(data)

    assert [part.content_type.name for part in parts] == [
        "multipart/mixed", "message/rfc822", "multipart/mixed", "text/plain",
    ]  # fmt: skip
    assert index_source(Windowed(Bytes(data))) == parts


@pytest.mark.parametrize("entity", [
    b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n",
    b"\r\nplain\r\n",
    b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+eDwvYj4=\r\n",
    b"MIME-Version:\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n",
    b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s\r\n\r\ny\r\n--s--\r\n",
])  # fmt: skip
def test_mime_version_is_added_where_it_lacks(entity):
    made = sent(b"From: relay@example.org\r\nTo: b@example.org\r\n" + entity)

    assert HeaderBlock.parse(made).get_all("MIME-Version") == ["1.0"]
    assert made.endswith(entity.partition(b"\r\n\r\n")[2] or entity[2:])


@pytest.mark.parametrize("first", [b"", b" ", b" multipart", b" ;charset=x", b"\r\n "])
def test_of_several_content_types_the_readable_one_counts_and_alone_is_sent(first):
    good = b"Content-Type: multipart/mixed;\r\n boundary=bb\r\n"
    body = b"\r\n--bb\r\n\r\n\xc3\xa4\r\n--bb--\r\n"
    for fields in (b"Content-Type:" + first + b"\r\n" + good, good + b"Content-type:" + first + b"\r\n"):
        made = sent(b"From: relay@example.org\r\nTo: b@example.org\r\n" + fields + body)
        assert made.count(b"ontent-Type: multipart/mixed;\r\n boundary=bb\r\n") == 1
        assert HeaderBlock.parse(made).get_all("Content-Type") == ["multipart/mixed; boundary=bb"]
        [part] = email.message_from_bytes(made, policy=email.policy.default).iter_parts()
        assert part.get_content() == "ä"


@pytest.mark.parametrize("empty", [b"", b" ", b"\r\n "])
def test_an_empty_field_hides_none_of_its_name_behind_it(empty):
    fields = (
        b"Subject:"
        + empty
        + b"\r\nSubject: s\r\nMessage-ID:"
        + empty
        + b"\r\nMessage-ID: <own@example.org>\r\n"
        b"Content-Disposition:" + empty + b"\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    )
    headers = HeaderBlock.parse(fields + b"\r\n")

    assert headers.get("Subject") == "s"
    assert filename(headers, parse_content_type(None)) == "a.pdf"
    assert b"<made@example.org>" not in sent(fields + b"To: b@example.org\r\n\r\nx")
    assert headers.get("Date") is None
    assert HeaderBlock.parse(b"Subject:\r\n\r\n").get("Subject") == ""


def test_a_multipart_without_a_boundary_gives_way_to_a_content_type_that_can_be_used():
    boundary = b"Content-Type: multipart/mixed; boundary=b\r\n"
    parts = b"\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n"
    without = b"Content-Type: multipart/mixed\r\n"
    for fields in (without + boundary, boundary + without):
        made = sent(b"To: b@example.org\r\n" + fields + parts)
        assert HeaderBlock.parse(made).get_all("Content-Type") == ["multipart/mixed; boundary=b"]
        assert [part.content_type.name for part in index_parts(made)] == ["multipart/mixed", "text/html"]
    made = sent(b"To: b@example.org\r\n" + without + b"Content-Type: text/html\r\n\r\n<p>x</p>\r\n")
    assert HeaderBlock.parse(made).get_all("Content-Type") == ["text/html"]


def test_of_two_readable_content_types_the_first_counts():
    made = sent(
        b"To: b@example.org\r\nContent-Type: text/html\r\nContent-Type: text/plain\r\n\r\n<p>x</p>\r\n"
    )

    assert HeaderBlock.parse(made).get_all("Content-Type") == ["text/html"]


def test_of_several_content_types_of_a_part_the_readable_one_counts():
    part = (
        b"Content-Type:\r\nContent-Type: application/pdf; name=a.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg=="
    )
    raw = (
        b"To: b@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + part
        + b"\r\n--b--\r\n"
    )
    made = sent(raw)

    assert b"--b\r\n" + part.partition(b"\r\n")[2] + b"\r\n--b--\r\n" in made
    assert index_parts(raw)[1].content_type.name == "application/pdf"
    signed = raw.replace(b"multipart/mixed", b"multipart/signed")
    assert part in sent(signed)


def test_looking_for_the_header_takes_time_in_proportion():
    assert_linear(header_start, lambda n: b"\r\n \t" * (n * 100_000))
    assert_linear(lambda n: [header_start(b" \r\n" * 1300 + b"X: y\r\n")] * 1, lambda n: n)
