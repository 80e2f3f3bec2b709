"""The spool: memory first, then a file, and the same bytes either way."""

import asyncio
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailrelay.mime.headers import header_start
from mailrelay.smtp.budget import Budget, Lease
from mailrelay.smtp.spool import MEMORY_LIMIT, Spool, spool_directory


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def make(executor, tmp_path):
    def fill(*pieces: bytes, limit: int = 10_000_000, lease: Lease | None = None) -> Spool:
        spool = Spool(limit, executor, tmp_path, lease)

        async def write():
            for piece in pieces:
                await spool.write(piece)

        asyncio.run(write())
        return spool

    return fill


def joined(spool: Spool, size: int = 1000) -> bytes:
    return b"".join(spool.chunks(size))


@pytest.mark.parametrize("length", [0, 1, 1000, MEMORY_LIMIT, MEMORY_LIMIT + 1, 5 * MEMORY_LIMIT + 17])
@pytest.mark.parametrize("piece", [997, 200_000])
def test_what_comes_out_is_what_went_in(make, length, piece):
    content = (b"0123456789abcdef" * (length // 16 + 1))[:length]
    spool = make(*(content[start : start + piece] for start in range(0, length, piece)))
    assert joined(spool) == content
    assert spool.size == length


def test_chunks_have_the_size_asked_for_and_can_be_had_again(make):
    spool = make(b"A: b\r\n\r\n", *[b"x" * 100_000] * 7)
    spool.trace(b"Received: from x\r\n")
    chunks = list(spool.chunks(65536))
    assert {len(chunk) for chunk in chunks[:-1]} == {65536} and 0 < len(chunks[-1]) <= 65536
    assert list(spool.chunks(65536)) == chunks
    assert sum(map(len, chunks)) == spool.size


def test_small_mail_touches_no_file_and_large_mail_has_none_with_a_name(make, tmp_path):
    assert make(b"x" * MEMORY_LIMIT)._file is None
    assert make(b"x" * MEMORY_LIMIT, b"y")._file is not None
    assert list(tmp_path.iterdir()) == []


def test_many_mails_share_the_memory_that_there_is(make, monkeypatch):
    monkeypatch.setattr("mailrelay.smtp.spool.ALL_MEMORY", 2**20)
    budget, piece = Budget(10**9), b"A: " + b"x" * 8000 + b"\r\n"
    spools = [make(*[piece] * 10, lease=budget.lease("client")) for _ in range(50)]
    assert sum(len(block) for spool in spools for block in spool._blocks) < 2.5 * 2**20
    assert spools[0]._file is None and spools[-1]._file is not None
    assert spools[-1].header == piece * 10 == joined(spools[-1])
    for spool in spools:
        spool.close()


def test_a_header_stands_in_memory_once(make):
    pieces = [b"A: %05d" % number + b"x" * 8000 + b"\r\n" for number in range(24)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        spool = make(*(bytes(bytearray(piece)) for piece in pieces))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert spool._file is None and held < 1.5 * spool.received


@pytest.mark.parametrize(
    "first",
    [
        b"A: b\r\nC: d\r\n\r\nbody\r\n\r\nx",
        b"\r\nbody\r\n\r\nx",
        b"A: b\r\n\r",
        b"\xef\xbb\xbfA: b\r\n\r\nx",
        b"\r\nTo: b\r\nFrom: d\r\n\r\nbody\r\n\r\nx",
        b"\r\n",
    ],
)
def test_the_header_is_the_same_wherever_the_stream_is_cut(make, first):
    whole = make(first).header
    for cut in range(1, len(first)):
        spool = make(first[:cut], first[cut:])
        spool.trace(b"Received: x\r\n")
        assert spool.header == whole[header_start(first) :] and spool.header_size == len(spool.header)
    assert make(*(bytes([byte]) for byte in first)).header == whole


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
@pytest.mark.parametrize("size", [1, 100, 5000, 100_000])
def test_what_stands_before_the_header_is_no_part_of_what_is_stored(make, before, size):
    mail = b"From: a@example.org\r\nTo: b@example.org\r\n\r\n" + b"body\r\n" * 5000
    content = before + mail
    spool = make(*(content[at : at + size] for at in range(0, len(content), size)))
    spool.trace(b"Received: x\r\n")
    assert joined(spool) == b"Received: x\r\n" + mail
    assert spool.header.endswith(b"To: b@example.org\r\n\r\n") and spool.header_size == 42


def test_text_behind_a_blank_line_stays_text(make):
    spool = make(b"\r\nTemperature: 81 C\r\n")
    spool.trace(b"Received: x\r\n")
    assert joined(spool) == b"Received: x\r\n\r\nTemperature: 81 C\r\n"


def test_the_header_is_kept_up_to_its_blank_line(make):
    assert make(b"A: b\r\nC: d\r", b"\n\r", b"\nbody\r\n\r\nmore").header == b"A: b\r\nC: d\r\n\r\n"
    assert make(b"\r\nbody\r\n\r\n").header == b"\r\n"
    assert make(b"A: b\r\n").header == b"A: b\r\n"


@pytest.mark.parametrize(
    ("pieces", "clean"),
    [
        ((b"plain\r\n", b"text\r\n"), True),
        ((b"\xc3\xa4\r\n",), False),
        ((b"a\0b\r\n",), False),
        ((b"a\rb\r\n",), False),
        ((b"fine\r\n", b"\xff", b"fine\r\n"), False),
        ((b"x" * 500, b"x" * 498, b"\r\nfine\r\n"), True),
        ((b"x" * 500, b"x" * 499, b"\r\nfine\r\n"), False),
    ],
)
def test_it_knows_whether_the_content_can_go_as_it_is(make, pieces, clean):
    assert make(*pieces).clean is clean


def test_what_is_over_the_limit_is_dropped_at_once(make):
    spool = make(*[b"x" * 100_000] * 30, limit=1_000_000)
    assert spool.oversize and spool.received == 3_000_000
    assert spool._file is None and spool._blocks == []


def test_closing_gives_everything_back(make):
    spool = make(*[b"x" * 200_000] * 3)
    file = spool._file
    spool.close()
    assert file.closed and spool._blocks == []


def test_the_directory_is_made_private(tmp_path):
    where = spool_directory(tmp_path)
    assert where == tmp_path / "spool" and where.stat().st_mode & 0o777 == 0o700


def test_without_a_directory_that_can_be_written_the_systems_is_used(tmp_path):
    (tmp_path / "spool").write_text("in the way")
    assert spool_directory(tmp_path) is None
    assert spool_directory(None) is None
