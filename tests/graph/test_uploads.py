"""What an upload session says it expects, in every spelling that was seen."""

import pytest

from mailrelay.graph.answer import Answer
from mailrelay.graph.calls import Response
from mailrelay.graph.drafts import File, attachment_body, fits_one_request
from mailrelay.graph.http import Phase
from mailrelay.graph.uploads import next_expected, session_of


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"nextExpectedRanges": ["0-"]}, 0),
        ({"nextExpectedRanges": ["2097152"]}, 2_097_152),
        ({"NextExpectedRanges": ["2097152-"]}, 2_097_152),
        ({"nextExpectedRanges": ["12-40", "60-"]}, 12),
        ({"nextExpectedRanges": []}, None),
        ({"nextExpectedRanges": ["garbage"]}, None),
        ({"nextExpectedRanges": "0-"}, None),
        ({}, None),
    ],
)
def test_the_next_byte_is_read_in_every_spelling(document, expected):
    assert next_expected(document) == expected


def response(**document) -> Response:
    answer = Answer("box@contoso.test", 201, body_sent=True, body_size=0, phase=Phase.READING, duration=0.0)
    return Response(answer, document)


def test_a_session_without_tls_is_none():
    assert session_of(response(uploadUrl="http://outlook.test/x")) is None
    assert session_of(response()) is None
    session = session_of(response(uploadUrl="https://outlook.test/x?authtoken=s3cret"))
    assert session is not None
    assert "s3cret" not in repr(session)


@pytest.mark.parametrize(
    ("size", "fits"), [(0, True), (3_000_000, True), (3_145_727, False), (3_145_728, False)]
)
def test_a_file_goes_in_one_request_while_its_request_stays_below_4_mib(size, fits):
    file = File("name.bin", "application/octet-stream", size)
    assert fits_one_request(file) is fits
    if fits:
        content = b"A" * ((size + 2) // 3 * 4)
        body = attachment_body(file, _Body(content))
        assert len(body.read()) == len(body) <= 4 * 1024 * 1024


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data, self._size = data, len(data)

    def __len__(self) -> int:
        return self._size

    def read(self, n: int = -1) -> bytes:
        n = len(self._data) if n < 0 else n
        piece, self._data = self._data[:n], self._data[n:]
        return piece
