"""Whatever the sizes of its parts: a mail beyond one request goes, each file with the bytes that it had."""

import io
import zipfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailrelay.graph import drafts
from mailrelay.mime.archive import Archive
from mailrelay.mime.compose import DIRECT_LIMIT
from mailrelay.mime.leaves import LeafReader
from mailrelay.vocabulary import State
from tests.delivery.office import fresh, log, timeline
from tests.harness.processes import as_sent
from tests.large.mails import MEBIBYTE, digest, files, with_files
from tests.large.test_faults import arrived, open_drafts
from tests.mime.test_taking_apart import Bytes

MINIMUM = drafts.SESSION_MINIMUM
#: Sizes at the borders of what a request and an upload session take, and all others.
SIZES = st.one_of(
    st.sampled_from([0, 1, 1_179_648, 2_359_296, DIRECT_LIMIT // 2, DIRECT_LIMIT]),
    st.integers(MINIMUM - 600, MINIMUM + 600),
    st.integers(0, 4 * MEBIBYTE),
)


def unpacked(name: str, content: bytes) -> tuple[str, str]:
    """A file as it was before it went into an archive, if it did."""
    if not name.endswith(".bin.zip"):
        return name, digest(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        (inner,) = archive.namelist()
        return inner, digest(archive.read(inner))


def arrived_files(office) -> dict[str, str]:
    parts = arrived(office).iter_attachments()
    return dict(unpacked(part.get_filename(), part.get_content()) for part in parts)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(sizes=[MINIMUM - 1])
@example(sizes=[MINIMUM - 200, MINIMUM - 100, 10])
@example(sizes=[MINIMUM])
@example(sizes=[2_300_000])
@example(sizes=[800_000, 800_000, 800_000])
@given(sizes=st.lists(SIZES, min_size=1, max_size=4))
def test_every_mail_between_one_request_and_the_mailbox_limit_goes(writer, queued, sizes):
    writer.sandbox.reset()
    writer.sandbox.world(limits={"upload_bytes": 0})
    type(writer.mailbox).objects.update(upload_bytes_per_5_minutes=0)
    message = with_files(sizes)
    data = as_sent(message)
    delivery = queued(data, "large" if len(data) > DIRECT_LIMIT else "mime")

    writer.later(1)

    assert fresh(delivery).state == State.SENT, delivery.last_error
    assert [entry.outcome for entry in log(delivery)] == ["sent"]
    assert arrived_files(writer) == files(message)
    assert open_drafts(writer) == 0


@pytest.mark.parametrize("size", [MINIMUM - 100, MINIMUM - 1])
def test_a_file_that_no_way_takes_travels_in_an_archive_and_that_is_said(writer, queued, size):
    message = with_files([size])
    delivery = queued(message)

    writer.work()

    assert fresh(delivery).state == State.SENT
    (part,) = arrived(writer).iter_attachments()
    assert part.get_filename() == "Datei 0 ä.bin.zip"
    assert "ZIP archive" in timeline(delivery)
    assert arrived_files(writer) == files(message)


def test_a_tenant_that_takes_it_by_upload_gets_it_as_it_is(writer, queued):
    """Should the minimum be three million bytes."""
    writer.sandbox.world(limits={"upload_session_minimum": 3_000_000})
    message = with_files([MINIMUM - 1])
    delivery = queued(message)

    writer.work()

    assert fresh(delivery).state == State.SENT
    assert files(arrived(writer)) == files(message)
    assert "ZIP" not in timeline(delivery)


def test_many_small_files_go_as_long_as_few_enough_travel_apart(writer, queued):
    """Five hundred of 8 KB: to make the rest as small as can be, more than 250 would have to."""
    message = with_files([8_000] * 500)
    delivery = queued(message)

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    assert files(arrived(writer)) == files(message)


@given(
    content=st.binary(max_size=3000),
    least=st.integers(0, 6000),
    name=st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1),
    cut=st.integers(0, 6000),
)
def test_an_archive_has_its_file_whichever_way_it_is_read(content, least, name, cut):
    reader = LeafReader(Bytes(content), 0, len(content), "binary")

    archive = Archive(name, reader, len(content), least)

    assert archive.size >= least
    cut = min(cut, archive.size)
    rest = archive.part(cut, archive.size - cut)
    assert len(rest) == archive.size - cut
    second = rest.read()
    whole = archive.part(0, cut).read() + second
    assert len(whole) == archive.size
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        (info,) = opened.infolist()
        assert opened.read(info) == content
