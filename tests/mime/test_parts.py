import mmap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.parts import DEPTH_LIMIT, PART_LIMIT, index_parts

NESTED = b"""Content-Type: multipart/mixed; boundary="o"

preamble
--o
Content-Type: multipart/alternative; boundary=i

--i

text
--i\x20
Content-Type: text/html

<p>
--i--
between
--o
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/signed; boundary=z

--z
--z
A: b
--o
Content-Type: application/x
Content-Transfer-Encoding: BASE64

QUJD
--o--
epilogue
""".replace(b"\n", b"\r\n")


def shape(data):
    return [
        (
            part.depth,
            part.content_type.name,
            bytes(data[part.body_start : part.body_end]) if part.is_leaf else None,
        )
        for part in index_parts(data)
    ]


def test_it_finds_every_part_of_a_nested_message():
    assert shape(NESTED) == [
        (0, "multipart/mixed", None),
        (1, "multipart/alternative", None),
        (2, "text/plain", b"text"),
        (2, "text/html", b"<p>"),
        (1, "message/rfc822", None),
        (2, "multipart/signed", None),
        (3, "text/plain", b""),
        (3, "text/plain", b""),
        (1, "application/x", b"QUJD"),
    ]


def test_it_says_what_is_in_what_and_what_is_sealed():
    parts = index_parts(NESTED)

    assert [part.parent for part in parts] == [-1, 0, 1, 1, 0, 4, 5, 5, 0]
    assert [part.sealed for part in parts] == [False] * 5 + [True] * 3 + [False]
    assert parts[-1].encoding == "base64"
    assert NESTED[parts[1].header_start :].startswith(b"Content-Type: multipart/alternative")
    assert NESTED[: parts[1].body_end].endswith(b"between")


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_it_reads_any_buffer(wrap):
    assert shape(wrap(NESTED)) == shape(NESTED)


def test_it_reads_a_mapped_file(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(NESTED)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert shape(mapped) == shape(NESTED)


def test_it_ends_an_unclosed_multipart_at_its_parents_delimiter():
    outer, inner = (b"Content-Type: multipart/x; boundary=%c\n\n--%c\n" % (c, c) for c in b"xy")

    assert shape(outer + inner + b"\n1\n--x\n\n2")[2:] == [(2, "text/plain", b"1"), (1, "text/plain", b"2")]


def test_the_same_boundary_inside_does_not_confuse_it():
    head = b"Content-Type: multipart/a; boundary=x\r\n\r\n--x\r\n"
    raw = head + head + b"\r\n1\r\n--x--\r\n--x\r\n\r\n2\r\n--x--\r\n"

    assert shape(raw) == [
        (0, "multipart/a", None),
        (1, "multipart/a", None),
        (2, "text/plain", b"1"),
        (1, "text/plain", b"2"),
    ]


def test_a_longer_line_is_no_delimiter():
    raw = b"Content-Type: multipart/a; boundary=x\r\n\r\n--x\r\n\r\n--xx\r\n--x y\r\n--x--z\r\n--x--"

    assert shape(raw)[1] == (1, "text/plain", b"--xx\r\n--x y\r\n--x--z")


@pytest.mark.parametrize(
    "boundary",
    ['boundary*0="x"; boundary*1="y"', "boundary*=us-ascii'en'xy", "boundary*0*=''%78; boundary*1=y"],
)
def test_a_boundary_is_read_in_pieces_and_extended(boundary):
    raw = f"Content-Type: multipart/a; {boundary}\r\n\r\n--xy\r\n\r\n1\r\n--xy--".encode()

    assert shape(raw)[1:] == [(1, "text/plain", b"1")]


def test_a_digest_holds_messages():
    raw = b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: a\r\n\r\nb\r\n--x--"

    assert [part.content_type.name for part in index_parts(raw)] == [
        "multipart/digest",
        "message/rfc822",
        "text/plain",
    ]


@pytest.mark.parametrize("mark", [b"", b">"])
def test_the_mbox_line_of_an_embedded_message_is_before_its_header(mark):
    mbox = mark + b"From ann@example.org Mon Jan  1 00:00:00 2026\r\n"
    inner = b"Subject: a\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n1\r\n--y--\r\n"
    raw = b"Content-Type: message/rfc822\r\n\r\n" + mbox + inner

    assert shape(raw)[1:] == [(1, "multipart/mixed", None), (2, "text/plain", b"1")]
    assert shape(b"Content-Type: message/rfc822\r\n\r\nFrom here on: text\r\n" + inner)[1][1] == "text/plain"


def test_an_encoded_message_is_a_leaf():
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDo="

    assert shape(raw) == [(0, "message/rfc822", b"U3ViamVjdDo=")]


def test_beyond_the_depth_limit_is_one_opaque_leaf():
    raw = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(DEPTH_LIMIT * 2)
    )
    parts = index_parts(raw)

    assert len(parts) == DEPTH_LIMIT + 1
    assert parts[-1].is_leaf
    assert parts[-1].opaque
    assert parts[-1].body_end == len(raw)


def test_beyond_the_part_limit_is_one_opaque_leaf():
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (PART_LIMIT + 50)
    parts = index_parts(raw)

    assert len(parts) == PART_LIMIT
    assert parts[-1].opaque
    assert parts[-1].body_end == len(raw)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b"--b",
                b"--b--",
                b"--c",
                b"Content-Type: multipart/mixed; boundary=b",
                b"x: y",
                b" ",
                b"\xff",
                b"Content-Type: multipart/x; boundary=c",
                b"Content-Type: message/rfc822",
            ]
        ),
        max_size=60,
    ).map(b"".join)
)
def test_parts_lie_within_their_containers_and_in_order(raw):
    parts = index_parts(raw, HeaderBlock.parse(raw))

    assert parts[0].body_end == len(raw)
    for before, part in pairwise(parts):
        above = parts[part.parent]
        assert above.body_start <= part.header_start <= part.body_start <= part.body_end <= len(raw)
        assert part.body_end <= max(above.body_end, part.body_start)
        assert before.body_end <= part.header_start or not before.is_leaf
        assert part.depth == above.depth + 1
