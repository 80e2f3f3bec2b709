"""The index by windows, leaves decoded as they are read, and the skeleton that is left."""

import base64
import binascii
import quopri
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mime import leaves, skeleton, source
from mailrelay.mime.compose import Composed
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.filename import name_or_default
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.leaves import LeafContent, LeafReader, decoded_size
from mailrelay.mime.parts import index_parts, index_source
from mailrelay.mime.skeleton import Inseparable, NotSeparableError, take_apart
from mailrelay.mime.source import Windowed
from mailrelay.vocabulary import LargeText


class Bytes:
    """A message in memory, read as if it were not; counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.longest = data, 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.longest = max(self.longest, length)
        return self.data[offset : offset + length]


def as_is(raw: bytes) -> Composed:
    return Composed((raw,), len(raw), 0, ())


LINES = st.sampled_from(
    [b"--a", b"--b", b"--a--", b"--b--", b"", b"text", b"x" * 90, b"-", b"--", b"\r",
     b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/mixed; boundary=a",
     b"Content-Type: message/rfc822", b"From a@b Mon Jan  1 00:00:00 2026"]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r\r\n"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=40), st.integers(5, 60))
def test_windows_of_any_size_find_what_the_whole_message_has(lines, window):
    data = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"".join(a + b for a, b in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "WINDOW", window)
        patch.setattr(source, "FIRST_HEADER", 8)
        found = index_source(Windowed(Bytes(data)))
    whole = index_parts(data)
    # A longer line is no delimiter.
    if window > 2 + max((len(line) + 3 for line, _ in lines), default=0):
        assert found == whole


@given(st.binary(max_size=3000), st.integers(1, 100), st.integers(0, 3000), st.integers(1, 50))
def test_base64_decodes_in_any_pieces_and_from_any_offset(data, block, offset, step):
    text = base64.encodebytes(data).replace(b"\n", b"\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_BLOCK", block)
        reader = LeafReader(Bytes(b"xx" + text + b"yy"), 2, len(text) + 2, "base64")
        assert b"".join(LeafContent(reader)) == data
        offset = min(offset, len(data))
        reader.seek(offset)
        assert b"".join(iter(lambda: reader.read(step), b"")) == data[offset:]
        assert reader.part(0, 10).read() == data[:10]


@given(
    st.lists(st.binary(max_size=60), max_size=20), st.sampled_from([b"\r\n", b"\n ", b""]), st.integers(1, 60)
)
def test_base64_of_which_each_line_is_padded_is_read_to_its_end(pieces, line_end, block):
    text = line_end.join(map(base64.b64encode, pieces)) + b"\r\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_BLOCK", block)
        for footer in (b"", b"\r\n-- \r\nlist footer"):
            whole = text + (footer if b"=" in text else b"")
            found = LeafContent(LeafReader(Bytes(whole), 0, len(whole), "base64"))
            assert b"".join(found) == b"".join(pieces)


@given(st.binary(max_size=2000), st.integers(1, 60))
def test_quoted_printable_decodes_in_any_pieces(data, block):
    text = quopri.encodestring(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_BLOCK", block)
        found = b"".join(LeafContent(LeafReader(Bytes(text), 0, len(text), "quoted-printable")))
    assert found == binascii.a2b_qp(text)


@given(
    st.binary(max_size=500),
    st.sampled_from(
        ["7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", "x-yenc", "x-unknown"]
    ),
    st.integers(1, 40),
)
def test_a_size_known_ahead_is_what_is_read_later(data, encoding, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_BLOCK", block)
        size = decoded_size(Bytes(data), 0, len(data), encoding)
        part = LeafReader(Bytes(data), 0, len(data), encoding).part(0, size)
        assert len(part.read()) == len(part) == size


def message(*parts: bytes, kind: bytes = b"mixed", head: bytes = b"") -> bytes:
    body = b"".join(b"\r\n--b\r\n" + part for part in parts) + b"\r\n--b--\r\n"
    return (
        b"From: a@x.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
        + head
        + b"Content-Type: multipart/"
        + kind
        + b"; boundary=b\r\n\r\n"
        + body[2:]
    )


def part(kind: bytes, size: int, *more: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    content = base64.encodebytes(random.Random(size).randbytes(size)).replace(b"\n", b"\r\n").rstrip()
    return b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: base64\r\n" + lines + b"\r\n" + content


TEXT = b"Content-Type: text/plain\r\n\r\nhello"


def test_the_largest_files_go_first_and_small_ones_stay():
    data = message(TEXT, part(b"image/png", 3_000_000), part(b"application/pdf", 900_000))

    found = take_apart(Bytes(data), 3_000_000, as_is)

    assert [leaf.content_type for leaf in found.leaves] == ["image/png"]
    (rest,) = found.mail.parts
    assert rest == message(TEXT, part(b"application/pdf", 900_000))
    assert found.leaves[0].size == 3_000_000


def test_a_message_of_files_alone_keeps_a_part():
    data = message(part(b"image/png", 3_000_000))

    (rest,) = take_apart(Bytes(data), 3_000_000, as_is).mail.parts

    (root, only) = index_parts(bytes(rest))
    assert (root.is_leaf, only.content_type.name) == (False, "text/plain")


def test_a_message_that_is_a_file_becomes_the_attachment_of_an_empty_text():
    data = b"From: a@x.test\r\n" + part(b"application/pdf; name=scan.pdf", 4_000_000)

    found = take_apart(Bytes(data), 3_000_000, as_is)

    assert found.mail.parts == (b"From: a@x.test\r\n\r\n",)
    assert [(leaf.name, leaf.size) for leaf in found.leaves] == [("scan.pdf", 4_000_000)]
    assert "empty text" in found.changes[-1]


def test_a_forwarded_message_goes_as_one_with_its_own_structure():
    inner = message(TEXT, part(b"image/png", 3_000_000))
    data = message(TEXT, b"Content-Type: message/rfc822\r\n\r\n" + inner)

    (leaf,) = take_apart(Bytes(data), 3_000_000, as_is).leaves

    assert (leaf.name, leaf.content_type, leaf.size) == ("message.eml", "message/rfc822", len(inner))
    assert data[leaf.start : leaf.end] == inner


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (message(part(b"image/png", 4_000_000), kind=b"signed"), Inseparable.SEALED),
        (message(TEXT, message(part(b"image/png", 4_000_000), kind=b"signed")), Inseparable.SEALED),
        (b"From: a\r\n" + part(b"application/pkcs7-mime", 4_000_000), Inseparable.SEALED),
        (b"From: a\r\n" + part(b"application/octet-stream; name=smime.P7M", 4_000_000), Inseparable.SEALED),
        (message(part(b"text/html", 4_000_000), TEXT, kind=b"alternative"), Inseparable.TEXT),
        (b"From: a\r\n\r\n" + b"line\r\n" * 800_000, Inseparable.TEXT),
        (message(TEXT, *[part(b"image/png", 20_000)] * 400), Inseparable.MANY),
        (message(TEXT).replace(b"\r\n--b\r\n", b"line\r\n" * 800_000 + b"--b\r\n", 1), Inseparable.STRUCTURE),
    ],
    ids=["signed", "signed within", "encrypted", "by name", "alternative", "text", "many", "preamble"],
)  # fmt: skip
def test_what_cannot_go_in_parts_says_why(data, why):
    content = Bytes(data)

    with pytest.raises(NotSeparableError) as refused:
        take_apart(content, 3_000_000, as_is, LargeText.REFUSE)

    assert refused.value.why is why
    assert content.longest <= max(source.LONGEST_HEADER, 6_000_000)


def test_a_signed_document_beside_a_text_is_a_file():
    data = message(TEXT, part(b"application/octet-stream; name=invoice.xml.p7m", 4_000_000))

    (leaf,) = take_apart(Bytes(data), 3_000_000, as_is).leaves

    assert leaf.name == "invoice.xml.p7m"


def test_more_is_taken_out_when_composing_makes_the_rest_grow():
    data = message(TEXT, *[part(b"image/png", 600_000 + number) for number in range(4)])

    def growing(raw: bytes) -> Composed:
        return Composed((raw,), len(raw) * 3, 0, ())

    found = take_apart(Bytes(data), 3_000_000, growing)

    assert found.mail.size <= 3_000_000
    assert len(found.leaves) >= 3


@pytest.mark.parametrize(
    ("container", "headers", "inline"),
    [
        (b"related", [b"Content-ID: <a@b>"], True),
        (b"related", [b"Content-ID: <a@b>", b"Content-Disposition: attachment"], True),
        (b"mixed", [b"Content-ID: <a@b>", b"Content-Disposition: inline"], True),
        (b"mixed", [b"Content-ID: <a@b>", b"Content-Disposition: attachment"], False),
        (b"mixed", [], False),
    ],
)
def test_a_picture_keeps_its_content_id_and_stays_inline_where_a_text_shows_it(container, headers, inline):
    data = message(TEXT, part(b"image/png", 4_000_000, *headers), kind=container)

    (leaf,) = take_apart(Bytes(data), 3_000_000, as_is).leaves

    assert leaf.inline is inline
    assert leaf.content_id == ("a@b" if headers else "")


@pytest.mark.parametrize(
    ("headers", "inline"),
    [
        ([b"Content-ID: <a@b>"], True),
        ([b"Content-ID: <a@b>", b"Content-Disposition: inline"], True),
        ([b"Content-ID: <a@b>", b"Content-Disposition: attachment; filename=c.pdf"], False),
        ([b"Content-Disposition: inline"], False),
    ],
)
def test_a_document_that_is_an_attachment_stays_in_sight_beside_a_related_text(headers, inline):
    data = message(TEXT, part(b"application/pdf", 4_000_000, *headers), kind=b"related")

    (leaf,) = take_apart(Bytes(data), 3_000_000, as_is).leaves

    assert leaf.inline is inline


def test_a_boundary_in_pieces_is_followed():
    data = message(TEXT, part(b"application/pdf; name=x.pdf", 4_000_000))
    data = data.replace(b"boundary=b", b'boundary*0=""; boundary*1="b"')

    found = take_apart(Bytes(data), 3_000_000, as_is)

    assert [leaf.name for leaf in found.leaves] == ["x.pdf"]
    assert found.mail.parts == (message(TEXT).replace(b"boundary=b", b'boundary*0=""; boundary*1="b"'),)


def test_a_multipart_that_cannot_be_followed_is_a_text():
    data = message(TEXT, part(b"application/pdf", 4_000_000)).replace(b"; boundary=b", b"")

    with pytest.raises(NotSeparableError, match="text alone"):
        take_apart(Bytes(data), 3_000_000, as_is, LargeText.REFUSE)

    (leaf,) = take_apart(Bytes(data), 3_000_000, as_is).leaves
    assert (leaf.name, leaf.content_type) == ("message.txt", "text/plain")
    assert data[leaf.start : leaf.end] == data.partition(b"\r\n\r\n")[2]


OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("disposition", "content_type", "name"),
    [
        ('attachment; filename="plain.txt"', "text/plain", "plain.txt"),
        ("attachment; filename*=utf-8''na%C3%AFve%20%E2%82%AC.txt", "text/plain", "naïve €.txt"),
        ("attachment; filename*0*=iso-8859-1'de'%FCber; filename*1=\" x.txt\"", "text/plain", "über x.txt"),
        ('attachment; filename="=?utf-8?B?w6TDtsO8LnBkZg==?="', "application/pdf", "äöü.pdf"),
        ("attachment", 'application/pdf; name="by name.pdf"', "by name.pdf"),
        ('attachment; filename="../../etc/passwd"', "text/plain", "passwd"),
        (r'attachment; filename="C:\scan\new\doc1.pdf"', "application/pdf", "doc1.pdf"),
        (r'attachment; filename="C:\temp\a b.pdf"', "application/pdf", "a b.pdf"),
        (r"attachment; filename=C:\temp\a b.pdf", "application/pdf", "a b.pdf"),
        (r'attachment; filename="C:\\temp\\a.pdf"', "application/pdf", "a.pdf"),
        (r'attachment; filename="\\server\scans\new.pdf"', "application/pdf", "new.pdf"),
        (r'attachment; filename="say \"hi\".txt"', "text/plain", 'say "hi".txt'),
        ("attachment; filename*=utf-8''C%3A%5Cscans%5C%C3%BC.pdf", "application/pdf", "ü.pdf"),
        ('attachment; filename="C:\\scans\\"', "application/pdf", "scans"),
        ('attachment; filename="/var/spool/scan/7.pdf"', "application/pdf", "7.pdf"),
        ("filename=scan.pdf", "application/pdf", "scan.pdf"),
        ("; filename=scan.pdf", "application/pdf", "scan.pdf"),
        ('filename = "a b.pdf"; size=3', "application/pdf", "a b.pdf"),
        ("attachment filename=scan.pdf", "application/pdf", "scan.pdf"),
        ("", 'name="only.pdf"', "only.pdf"),
        ('attachment; filename="a\\"b.txt"', "text/plain", 'a"b.txt'),
        ("attachment", "application/pdf", "attachment.pdf"),
        ("attachment", "message/rfc822", "message.eml"),
        ('attachment; filename="Quarterly figures"', "message/rfc822", "Quarterly figures.eml"),
        ('attachment; filename="RE: x.EML"', "message/global", "RE: x.EML"),
        (f"attachment; filename={'n' * 300}", "message/rfc822", f"{'n' * 251}.eml"),
        ("attachment; filename=Quarterly figures.pdf ; size=3", "text/plain", "Quarterly figures.pdf"),
        ('attachment; filename="Report.pdf', "text/plain", "Report.pdf"),
        ('attachment; filename="Report 1.pdf; size=3', "text/plain", "Report 1.pdf"),
        ("attachment", "application/pdf; name=Report (2).pdf", "Report (2).pdf"),
        ("attachment; filename==?utf-8?Q?=C3=A4?= =?utf-8?Q?=C3=B6?=.pdf", "text/plain", "äö.pdf"),
        ("attachment", "application/x-nobody-knows", "attachment.bin"),
        ("attachment", f"{OFFICE}.wordprocessingml.document", "attachment.docx"),
        ("attachment", f"{OFFICE}.spreadsheetml.sheet", "attachment.xlsx"),
        ("attachment", "Image/WebP", "attachment.webp"),
        ("attachment", "text/rtf", "attachment.rtf"),
        ("attachment", "audio/wav", "attachment.wav"),
        (f"attachment; filename={'n' * 300}.tar", "application/x-tar", f"{'n' * 251}.tar"),
    ],
)  # fmt: skip
def test_a_file_keeps_its_name_however_it_was_written(disposition, content_type, name):
    raw = f"Content-Type: {content_type}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    headers = HeaderBlock.parse(raw)

    assert name_or_default(headers, parse_content_type(content_type)) == name


@given(st.binary(max_size=3000))
def test_no_bytes_at_all_make_it_stumble(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skeleton, "AIM", 10)
        try:
            found = take_apart(
                Bytes(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + data), 2000, as_is
            )
        except NotSeparableError:
            return
    assert found.mail.size <= 2000
