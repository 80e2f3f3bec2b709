import base64
import io

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.base64stream import Base64Body

PARTS = st.lists(st.binary(max_size=50), max_size=8)


@settings(deadline=None)
@given(PARTS, st.integers(1, 40))
def test_it_is_the_base64_of_the_parts_however_it_is_read(parts, n):
    raw = b"".join(parts)
    body = Base64Body([memoryview(part) for part in parts], len(raw))

    pieces = list(iter(lambda: body.read(n), b""))

    assert b"".join(pieces) == base64.b64encode(raw)
    assert len(body) == len(base64.b64encode(raw))
    assert all(len(piece) == n for piece in pieces[:-1])
    assert body.exhausted


def test_it_crosses_its_blocks():
    raw = bytes(range(251)) * 1000
    body = Base64Body((raw[:100_001], raw[100_001:]), len(raw))

    assert body.read() == base64.b64encode(raw)
    assert body.read(1) == b""


def test_it_is_exhausted_only_when_the_last_byte_was_handed_out():
    body = Base64Body([b"abcdef"], 6)

    assert body.read(7) == b"YWJjZGV"
    assert not body.exhausted
    body.read(1)
    assert body.exhausted


def test_rewind_begins_again():
    body = Base64Body([b"abc"], 3)
    body.read()
    body.rewind()

    assert not body.exhausted
    assert body.read() == b"YWJj"


def test_what_can_be_read_once_is_not_rewound():
    body = Base64Body(iter([b"abc"]), 3)

    with pytest.raises(TypeError):
        body.rewind()


@pytest.mark.parametrize("size", [2, 4])
def test_a_wrong_size_is_an_error_before_the_request_ends(size):
    body = Base64Body([b"abc"], size)

    with pytest.raises(ValueError):
        body.read()
    assert not body.exhausted


def test_it_holds_one_block_at_a_time():
    def chunks():
        for _ in range(64):
            taken.append(1)
            yield bytes(65_536)

    taken = []
    body = Base64Body(chunks(), 64 * 65_536)
    body.read(16_384)

    assert len(taken) == 1


def test_requests_sends_it_with_its_length():
    prepared = requests.Request("POST", "https://graph.example.org/", data=Base64Body([b"abcd"], 4)).prepare()

    assert prepared.headers["Content-Length"] == "8"
    assert "Transfer-Encoding" not in prepared.headers
    assert io.BytesIO(prepared.body.read()).read() == b"YWJjZA=="
