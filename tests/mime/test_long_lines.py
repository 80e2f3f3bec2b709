"""No line over 998 octets goes out: leaves are encoded, fields folded, and what is signed stays."""

import base64
import email
import email.policy
import quopri
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mime.compose import compose
from mailrelay.mime.headers import HeaderBlock, decode_words
from mailrelay.mime.identity import Identity
from mailrelay.mime.lines import LONGEST, LineLengths, fold_lines, has_long_line, wrap_encoded
from mailrelay.mime.safe import LEFT
from mailrelay.vocabulary import FromPolicy
from tests.harness.linear import assert_linear

FILE = random.Random(17).randbytes(6_000)
HTML = b"<p>" + b"word " * 1_000 + b"</p>"


def sent(raw, *recipients):
    made = compose(
        raw,
        recipients=recipients or ["b@example.org"],
        identity=Identity(FromPolicy.REWRITE, "relay@example.org", rewrite_signed=True),
        header_from="",
        message_id="<made@example.org>",
        date=datetime(2026, 11, 30, tzinfo=UTC),
    )
    return b"".join(made.parts), made.changes


def longest(raw):
    return max(map(len, raw.split(b"\r\n")))


def leaves(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return [
        (part.get_content_type(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    ]


def mixed(*parts, kind=b"mixed"):
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return (
        b"To: b@example.org\r\nContent-Type: multipart/"
        + kind
        + b"; boundary=b\r\n\r\n"
        + body
        + b"--b--\r\n"
    )


PARTS = {
    "HTML in one line": (b"Content-Type: text/html; charset=us-ascii\r\n\r\n" + HTML, HTML),
    "base64 in one line": (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(FILE),
        FILE,
    ),
    "quoted-printable without soft breaks": (
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + b"=C3=A4 =3D41 " * 500,
        "ä =41 ".encode() * 500,
    ),
    "quoted-printable that is short when it is decoded": (
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + b"=3D=34=31" * 120,
        b"=41" * 120,
    ),
    "a file of text": (b"Content-Type: application/json\r\n\r\n" + b'{"a": 1},' * 300, b'{"a": 1},' * 300),
    "text without a header": (b"\r\n" + b"x" * 5_000 + b"\r\nshort", b"x" * 5_000 + b"\r\nshort"),
    "a calendar": (
        b"Content-Type: text/calendar\r\n\r\nDESCRIPTION:" + b"x" * 2_000,
        b"DESCRIPTION:" + b"x" * 2_000,
    ),
}


@pytest.mark.parametrize(("part", "content"), PARTS.values(), ids=PARTS.keys())
@pytest.mark.parametrize("alone", [True, False])
def test_a_leaf_with_long_lines_arrives_the_same_in_short_ones(part, content, alone):
    raw = b"To: b@example.org\r\n" + part if alone else mixed(b"\r\nshort", part)
    made, changes = sent(raw)
    kind, decoded = leaves(made)[-1]

    assert longest(made) <= LONGEST
    assert decoded == content + b"\r\n" * (alone and not decoded.endswith(content))
    assert kind == leaves(raw)[-1][0]
    assert "1 parts with 8-bit bytes, bare line ends or long lines were made safe." in changes


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST])
def test_lines_of_just_the_right_length_stay(length):
    raw = mixed(b"Content-Type: text/plain\r\n\r\n" + b"x" * length)

    assert raw.partition(b"\r\n\r\n")[2] in sent(raw)[0]
    assert raw.partition(b"\r\n\r\n")[2] not in sent(raw.replace(b"x\r\n", b"xxx\r\n"))[0]


def test_nothing_signed_is_touched_and_it_is_said():
    signed = mixed(
        PARTS["HTML in one line"][0], b"Content-Type: application/pgp-signature\r\n\r\nx", kind=b"signed"
    )
    made, changes = sent(signed)

    assert made.endswith(signed.partition(b"\r\n\r\n")[2])
    assert LEFT in changes


def test_a_report_is_folded_and_not_encoded():
    report = (
        b"Reporting-MTA: dns; x\r\n\r\nAction: failed\r\nDiagnostic-Code: smtp; 550 " + b"no such user " * 200
    )
    made, _ = sent(
        mixed(b"\r\ntext", b"Content-Type: message/delivery-status\r\n\r\n" + report, kind=b"report")
    )

    assert longest(made) <= LONGEST
    assert report.rstrip() in made.replace(b"\r\n ", b" ")


def test_a_forwarded_message_is_folded_and_encoded_within():
    inner = b"Subject: " + b"word " * 400 + b"\r\nContent-Type: text/html\r\n\r\n" + HTML
    made, _ = sent(mixed(b"Content-Type: message/rfc822\r\n\r\n" + inner))

    assert longest(made) <= LONGEST
    assert leaves(made)[-1][1] == HTML
    assert b"Subject: word word" in made


def test_preamble_and_padding_of_delimiters_are_shortened():
    raw = mixed(b"\r\none", b"\r\ntwo").replace(
        b"--b\r\n", b"x" * 3_000 + b"\r\n--b" + b" " * 2_000 + b"\r\n", 1
    )
    made, _ = sent(raw)

    assert longest(made) <= LONGEST
    assert [content for _, content in leaves(made)] == [b"one", b"two"]


PEOPLE = [f"p{number}@example.org" for number in range(200)]


@pytest.mark.parametrize("comma", [", ", ",", " ,"])
def test_a_to_in_one_line_is_folded_and_names_the_same(comma):
    made, _ = sent(f"To: {comma.join(PEOPLE)}\r\n\r\nx\r\n".encode(), *PEOPLE)

    assert longest(made) <= LONGEST
    message = email.message_from_bytes(made, policy=email.policy.default)
    assert [person.addr_spec for person in message["To"].addresses] == PEOPLE
    assert message["Bcc"] is None


FIELDS = {
    "Subject": "word " * 400 + "end",
    "X-Spam-Report": "x" * 3_000,
    "References": " ".join(f"<{number}@example.org>" for number in range(100)),
    "References2": "".join(f"<{number}@example.org>" for number in range(100)),
    "Reply-To": ",".join(PEOPLE),
    "Content-Disposition": 'attachment; filename="' + "n " * 600 + '.pdf"',
    "Received": "from x " * 300 + "; Mon, 30 Nov 2026 10:00:00 +0000",
}


@pytest.mark.parametrize(("name", "value"), FIELDS.items(), ids=FIELDS.keys())
def test_a_field_in_one_line_is_folded_and_says_the_same(name, value):
    name = name.rstrip("2")
    made, _ = sent(f"To: b@example.org\r\n{name}: {value}\r\n\r\nx\r\n".encode())

    assert longest(made) <= LONGEST
    found = decode_words(HeaderBlock.parse(made).get(name))
    assert found.replace(" ", "") == value.replace(" ", "")
    assert found == value or "," in value or "><" in value


@pytest.mark.parametrize("letter", ["n", "ü", "名"])
@pytest.mark.parametrize(
    "field", ["Content-Disposition: attachment; filename=", "Content-Type: text/plain; name="]
)
def test_a_very_long_file_name_is_continued(letter, field):
    name = letter * 1_200 + ".txt"
    made, _ = sent(mixed(f'{field}"{name}"\r\n\r\nx'.encode()))

    assert longest(made) <= LONGEST
    [part] = email.message_from_bytes(made, policy=email.policy.default).iter_parts()
    assert part.get_filename() == name


@given(st.lists(st.integers(0, 3_000), max_size=6), st.integers(1, 4_000))
def test_pieces_have_the_long_lines_that_the_whole_has(lengths, size):
    data = b"".join(b"x" * length + b"\r\n" for length in lengths)
    pieces = LineLengths()
    for at in range(0, len(data), size):
        pieces.feed(data[at : at + size])

    assert pieces.exceeded == has_long_line(data) == any(length > LONGEST for length in lengths)


@given(st.text(st.sampled_from("ab  \t"), max_size=3_000))
def test_folding_breaks_before_white_space_alone(text):
    line = b"Subject: " + text.encode()
    lines = fold_lines(line).split(b"\r\n")

    assert b"".join(lines) == line
    assert all(piece[:1] in (b" ", b"\t") and piece.strip() for piece in lines[1:])


@given(st.text(st.sampled_from("abc-"), min_size=900, max_size=3_000))
def test_wrapping_makes_no_delimiter(text):
    lines = wrap_encoded(text.encode()).split(b"\r\n")

    assert b"".join(lines) == text.encode()
    assert not any(line.startswith(b"--") for line in lines[1:])


def test_long_lines_take_time_in_proportion():
    assert_linear(has_long_line, lambda n: b"x\n" * (n * 100_000))
    assert_linear(fold_lines, lambda n: b"a " * (n * 20_000) + b" " * (n * 20_000))
    assert_linear(wrap_encoded, lambda n: b"-" * (n * 20_000) + b"a" * (n * 20_000))
    assert quopri.decodestring(b"=41") == b"A"
