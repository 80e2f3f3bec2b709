"""Transfer encodings: what the field says, and its content decoded whichever way it comes in pieces."""

import binascii
import email
import email.policy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mime import leaves
from mailrelay.mime.decoders import decoder
from mailrelay.mime.leaves import LeafContent, LeafReader, decoded_size
from mailrelay.mime.safe import is_clean
from mailrelay.mime.transfer import transfer_encoding
from tests.harness.linear import assert_linear
from tests.mime.test_safe import safe
from tests.mime.test_taking_apart import Bytes


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (None, "7bit"),
        ("", "7bit"),
        ("  ", "7bit"),
        ("(nothing but a comment)", "7bit"),
        ("7-bit", "7bit"),
        ("7bits", "7bit"),
        ("7 bit", "7bit"),
        ("8bits", "8bit"),
        ("8-Bit", "8bit"),
        ("'8bit'", "8bit"),
        ("Binary;", "binary"),
        ('"base64"', "base64"),
        ("base64 (the usual one)", "base64"),
        ("(a (nested) comment) BASE64", "base64"),
        ("base64 (never closed", "base64"),
        ("base64; charset=utf-8", "base64"),
        ("base64 ) x", "base64"),
        ("base-64", "base64"),
        ("quoted_printable", "quoted-printable"),
        ("Quoted-Printable ", "quoted-printable"),
        ("quoted printable", "quoted-printable"),
        ("uuencode", "x-uuencode"),
        ("X-UUE", "x-uuencode"),
        ("x-uuencoded", "x-uuencode"),
        ("x-yenc", "x-yenc"),
        ("yEncode", "x-yenc"),
        ("X-Nobody-Knows", "x-nobody-knows"),
        ("base65", "base65"),
    ],
)
def test_every_spelling_in_use_has_one_name(value, encoding):
    assert transfer_encoding(value) == encoding


@given(st.text(max_size=200))
def test_any_text_is_read(value):
    assert transfer_encoding(value)


def uuencoded(data: bytes, line_end: bytes = b"\r\n", name: bytes = b"scan.pdf") -> bytes:
    lines = [binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") for at in range(0, len(data), 45)]
    return line_end.join([b"begin 644 " + name, *lines, b"`", b"end", b""])


def yencoded(data: bytes, line_end: bytes = b"\r\n", width: int = 128) -> bytes:
    text = bytes((value + 42) % 256 for value in data)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    escaped = [
        re.sub(rb"[\0\t\r\n=]|\A\.", lambda found: b"=" + bytes([(found[0][0] + 64) % 256]), line)
        for line in lines
    ]
    head = b"=ybegin line=%d size=%d name=a b.bin" % (width, len(data))
    return line_end.join([head, *escaped, b"=yend size=%d" % len(data), b""])


def decoded(text: bytes, encoding: str, block: int) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_BLOCK", block)
        found = b"".join(LeafContent(LeafReader(Bytes(text), 0, len(text), encoding)))
        assert decoded_size(Bytes(text), 0, len(text), encoding) == len(found)
    return found


BLOCKS = st.sampled_from([1, 2, 7, 60, 1000])


def made_safe(raw: bytes):
    made, _ = safe(raw)
    return made, email.message_from_bytes(made, policy=email.policy.default)


@given(st.binary(max_size=2000), BLOCKS, st.sampled_from([b"\r\n", b"\n"]))
def test_uuencode_decodes_in_any_pieces(data, block, line_end):
    text = b"words before it" + line_end + uuencoded(data, line_end) + b"words behind it"

    assert decoded(text, "x-uuencode", block) == data


@given(st.binary(max_size=2000), BLOCKS, st.sampled_from([b"\r\n", b"\n"]), st.sampled_from([40, 128, 2000]))
def test_yenc_decodes_in_any_pieces(data, block, line_end, width):
    assert decoded(b"\r\n" + yencoded(data, line_end, width) + b"footer", "x-yenc", block) == data


def test_a_part_of_a_file_in_yenc_is_what_it_holds():
    text = yencoded(b"half of it").replace(b"\r\n", b"\r\n=ypart begin=1 end=10\r\n", 1)

    assert decoded(text, "x-yenc", 50) == b"half of it"


@pytest.mark.parametrize("encoding", ["x-uuencode", "x-yenc", "x-nobody-knows", "7bit"])
def test_content_without_what_its_encoding_begins_with_is_what_it_is(encoding):
    text = b"begin\r\nnothing of the kind\r\n" * 3000

    assert decoded(text, encoding, 1000) == text


@given(st.binary(max_size=600), st.sampled_from(["x-uuencode", "x-yenc"]), BLOCKS)
def test_no_bytes_make_a_decoder_stumble(data, encoding, block):
    front = {"x-uuencode": b"begin 644 x\n", "x-yenc": b"=ybegin line=1 size=1 name=x\n"}[encoding]
    whole = front + data

    found = decoded(whole, encoding, block)

    assert len(found) <= len(data) + 100


@pytest.mark.parametrize("encoding", ["x-uuencode", "x-yenc"])
@pytest.mark.parametrize(
    "line", [b"", b"x", b"\n", b"=", b"begin 644 ", b"=ybegin ", b"=y\n", b"M" * 60 + b"\n"]
)
def test_decoding_takes_time_that_grows_with_the_text_alone(encoding, line):
    front = {"x-uuencode": b"begin 644 x\n", "x-yenc": b"=ybegin line=1 size=1 name=x\n"}[encoding]

    def work(text: bytes) -> int:
        undone = decoder(encoding)
        pieces = [text[at : at + 50_000] for at in range(0, len(text), 50_000)]
        return sum(len(undone.feed(piece, last=False)) for piece in pieces)

    assert_linear(work, lambda n: front + (line or b"y") * (n * 50_000))


def test_a_part_in_yenc_arrives_as_its_file():
    """Of 8-bit bytes by definition, and with no reader of mail behind Exchange that knows it."""
    content = bytes(range(256)) * 3
    raw = b"Content-Type: application/zip\r\nContent-Transfer-Encoding: x-yenc\r\n\r\n" + yencoded(content)

    made, message = made_safe(raw)

    assert is_clean(made)
    assert message["Content-Transfer-Encoding"] == "base64"
    assert message.get_payload(decode=True) == content


@pytest.mark.parametrize("spelling", ['"base64"', "base64 (comment)", "Base-64"])
def test_base64_by_another_name_is_no_8_bit_text(spelling):
    raw = f"Content-Transfer-Encoding: {spelling}\r\n\r\nSGFs\nbG8=\n".encode()

    made, message = made_safe(raw)

    assert is_clean(made)
    assert message["Content-Transfer-Encoding"] == spelling
    assert message.get_payload().split() == ["SGFs", "bG8="]


def test_a_container_that_says_8bits_is_relabelled_with_what_is_in_it():
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bits\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n--b--\r\n"
    )

    made, message = made_safe(raw)

    assert is_clean(made)
    assert message["Content-Transfer-Encoding"] == "7bit"


def test_a_forwarded_message_in_7_bit_by_another_name_is_read():
    inner = b"Subject: inner\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8-bit\r\n\r\n" + inner

    made, message = made_safe(raw)

    assert is_clean(made)
    (forwarded,) = message.get_payload()
    assert forwarded["Subject"] == "inner"
    assert forwarded.get_payload(decode=True).strip() == "Grüße".encode()
