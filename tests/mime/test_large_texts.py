"""Texts, invitations and odd encodings that are too large for one request: they travel as files."""

import base64
import email
import email.policy
import random

import pytest

from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.leaves import LeafContent, LeafReader
from mailrelay.mime.resource import as_resource
from mailrelay.mime.shorttext import SHORT_TEXT
from mailrelay.mime.skeleton import Inseparable, NotSeparableError, take_apart
from mailrelay.vocabulary import LargeText
from tests.mime.test_outline import tree
from tests.mime.test_taking_apart import Bytes, as_is
from tests.mime.test_transfer import uuencoded, yencoded

LIMIT = 3_000_000
TOP = b"From: a@x.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
#: Text of some megabytes of which no stretch is like another.
LINES = b"".join(b"line %d of a long report\r\n" % number for number in range(180_000))
BLOB = random.Random(5).randbytes(4_000_000)


def entity(kind: str, body: bytes, *more: str) -> bytes:
    return "\r\n".join([f"Content-Type: {kind}", *more, "", ""]).encode() + body


def base64_of(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n").rstrip()


def apart(raw: bytes):
    """The leaves with their decoded content, and what is left as mail."""
    content = Bytes(TOP + raw)
    found = take_apart(content, LIMIT, as_is)
    readers = (LeafReader(content, leaf.start, leaf.end, leaf.encoding) for leaf in found.leaves)
    files = [
        (leaf.name, leaf.content_type, b"".join(LeafContent(reader)))
        for leaf, reader in zip(found.leaves, readers, strict=True)
    ]
    assert all(len(data) == leaf.size for (*_, data), leaf in zip(files, found.leaves, strict=True))
    rest = email.message_from_bytes(bytes(found.mail.parts[0]), policy=email.policy.default)
    assert not rest.defects
    return files, rest, " ".join(found.changes)


SMALL_HTML = entity("text/html", b"<p>short</p>")
LARGE_HTML = entity("text/html; charset=utf-8", LINES)
LARGE_PLAIN = entity("text/plain; charset=utf-8", LINES)
PNG = entity("image/png", b"iVBO", "Content-Transfer-Encoding: base64", "Content-ID: <p@x>")


@pytest.mark.parametrize(
    ("kind", "name"), [("text/plain; charset=utf-8", "message.txt"), ("text/html", "message.html")]
)
def test_a_message_that_is_a_large_text_is_a_short_text_with_a_file(kind, name):
    files, rest, changes = apart(entity(kind, LINES))

    assert files == [(name, kind.partition(";")[0], LINES)]
    assert (rest.get_content_type(), rest.get_content().strip()) == ("text/plain", SHORT_TEXT)
    assert rest["Subject"] == "s"
    assert f"it travels as the file {name}" in changes


def test_a_text_without_any_header_is_a_text_too():
    files, rest, _ = apart(b"\r\n" + LINES)

    assert [(name, data) for name, _, data in files] == [("message.txt", LINES)]
    assert rest.get_content().strip() == SHORT_TEXT


def test_a_text_that_has_a_name_keeps_it():
    files, _, _ = apart(entity('text/html; name="Bericht.html"', LINES))

    assert files[0][0] == "Bericht.html"


@pytest.mark.parametrize(
    ("charset", "said"), [("utf-8", False), ("us-ascii", False), ("iso-8859-2", True), ('"x y"', False)]
)
def test_the_short_text_says_a_charset_that_the_file_cannot(charset, said):
    _, rest, _ = apart(entity(f"text/plain; charset={charset}", LINES))

    assert (charset in rest.get_content()) == said


@pytest.mark.parametrize(
    ("raw", "names", "texts"),
    [
        (tree("alternative", entity("text/plain", b"short"), LARGE_HTML), ["message.html"], ["short"]),
        (tree("alternative", LARGE_PLAIN, SMALL_HTML), ["message.txt"], ["<p>short</p>"]),
        (
            tree("alternative", LARGE_PLAIN, LARGE_HTML),
            ["message.txt", "message.html"],
            [SHORT_TEXT],
        ),
        (tree("mixed", LARGE_PLAIN, PNG), ["message.txt"], [SHORT_TEXT]),
        (tree("related", LARGE_HTML, PNG), ["message.html"], [SHORT_TEXT]),
        (
            tree("alternative", entity("text/plain", b"short"), tree("related", LARGE_HTML, PNG)),
            ["message.html"],
            ["short", SHORT_TEXT],
        ),
        (
            tree("alternative", LARGE_PLAIN, tree("related", LARGE_HTML, PNG)),
            ["message.txt", "message.html"],
            [SHORT_TEXT],
        ),
        (tree("mixed", tree("alternative", LARGE_PLAIN, LARGE_HTML), PNG),
         ["message.txt", "message.html"], [SHORT_TEXT]),
        (
            tree("mixed", entity("text/plain", b"short"), PNG, entity("text/plain", LINES)),
            ["message.txt"],
            ["short", SHORT_TEXT],
        ),
    ],
    ids=["html", "plain", "both", "mixed", "related", "branch", "both branches", "nested", "further"],
)  # fmt: skip
def test_what_can_be_read_stays_and_a_short_text_stands_where_nothing_would(raw, names, texts):
    files, rest, changes = apart(raw)

    assert [name for name, *_ in files] == names
    assert all(data == LINES for *_, data in files)
    shown = [part for part in rest.walk() if part.get_content_maintype() == "text"]
    assert [part.get_content().strip() for part in shown] == texts
    assert changes.count("too large for one request") == len(names)
    assert [part.get_payload() for part in rest.walk() if part.get_content_maintype() == "image"] in (
        [],
        ["iVBO"],
    )


def test_a_text_stays_as_long_as_files_are_enough():
    text = entity("text/plain", LINES[:2_000_000])
    files, rest, _ = apart(
        tree("mixed", text, entity("image/png", base64_of(BLOB), "Content-Transfer-Encoding: base64"))
    )

    assert [kind for _, kind, _ in files] == ["image/png"]
    assert rest.get_body().get_content().encode().startswith(LINES[:1_999_000])


def test_many_small_files_beside_a_large_text_do_not_travel_for_it():
    small = entity("image/png", base64_of(BLOB[:5_000]), "Content-Transfer-Encoding: base64")
    files, rest, _ = apart(tree("mixed", LARGE_PLAIN, *[small] * 400))

    assert len(files) <= 250
    assert LINES in [data for *_, data in files]
    assert rest.get_body().get_content().strip() == SHORT_TEXT


def test_a_text_stays_when_composing_makes_it_no_larger_than_a_request():
    files, rest, _ = apart(entity("text/plain", LINES[:2_900_000]))

    assert files == []
    assert len(rest.get_content()) > 2_000_000


def test_a_named_body_beside_many_pictures_is_no_file():
    """The mail arrived empty, with its text attached."""
    body = entity("text/html; name=body.html", b"<p>hello</p>" + LINES[:60_000])
    picture = entity("image/png", base64_of(BLOB[:50_000]), "Content-Transfer-Encoding: base64")

    files, rest, _ = apart(tree("mixed", body, *[picture] * 80))

    assert {kind for _, kind, _ in files} == {"image/png"}
    assert rest.get_body().get_content().startswith("<p>hello</p>")


@pytest.mark.parametrize(
    ("raw", "kind", "name"),
    [
        (
            tree("alternative", entity("text/plain", b"short"),
                 entity("application/pdf; name=a.pdf", base64_of(BLOB), "Content-Transfer-Encoding: base64")),
            "application/pdf",
            "a.pdf",
        ),
        (
            tree("mixed", entity("text/plain", b"short"), tree(
                "appledouble",
                entity("application/applefile; name=a", b"AAUWBw==", "Content-Transfer-Encoding: base64"),
                entity("application/pdf; name=a.pdf", base64_of(BLOB), "Content-Transfer-Encoding: base64"),
            )),
            "application/pdf",
            "a.pdf",
        ),
        (
            tree("alternative", entity("text/plain", b"short"), entity(
                "text/calendar; method=PUBLISH", base64_of(BLOB), "Content-Transfer-Encoding: base64",
            )),
            "text/calendar",
            "invite.ics",
        ),
        (entity("text/calendar", base64_of(BLOB), "Content-Transfer-Encoding: base64"),
         "text/calendar", "invite.ics"),
        (
            tree("mixed", entity("text/plain", b"short"),
                 entity("application/zip", uuencoded(BLOB), "Content-Transfer-Encoding: uuencode")),
            "application/zip",
            "attachment.zip",
        ),
        (
            tree("mixed", entity("text/plain", b"short"),
                 entity("application/zip", yencoded(BLOB), "Content-Transfer-Encoding: x-yenc")),
            "application/zip",
            "attachment.zip",
        ),
        (
            tree("mixed", entity("text/plain", b"short"),
                 entity("application/zip", base64_of(BLOB), 'Content-Transfer-Encoding: "base64" (so)')),
            "application/zip",
            "attachment.zip",
        ),
        (
            tree("mixed", entity("text/plain", b"short"),
                 entity("application/zip", BLOB.replace(b"\n--", b""), "Content-Transfer-Encoding: 8bits")),
            "application/zip",
            "attachment.zip",
        ),
        (
            tree("mixed", entity("text/plain", b"short"),
                 entity("application/zip", BLOB, "Content-Transfer-Encoding: x-nobody-knows")),
            "application/zip",
            "attachment.zip",
        ),
    ],
    ids=["in an alternative", "appledouble", "calendar", "calendar alone", "uuencode", "yenc", "quoted",
         "8bits", "unknown"],
)  # fmt: skip
def test_what_is_no_text_travels_whatever_holds_or_encodes_it(raw, kind, name):
    files, rest, _ = apart(raw)

    assert [(found, of) for found, of, _ in files] == [(name, kind)]
    assert files[0][2] == BLOB
    assert rest.is_multipart() == raw.startswith(b"Content-Type: multipart")


def test_a_sender_may_refuse_a_large_text_and_send_all_else():
    with pytest.raises(NotSeparableError) as refused:
        take_apart(Bytes(TOP + LARGE_PLAIN), LIMIT, as_is, LargeText.REFUSE)
    assert refused.value.why is Inseparable.TEXT

    calendar = entity("text/calendar", base64_of(BLOB), "Content-Transfer-Encoding: base64")
    assert take_apart(Bytes(TOP + calendar), LIMIT, as_is, LargeText.REFUSE).leaves


def resource(raw: bytes, large_text: LargeText = LargeText.FILE):
    return as_resource(Bytes(TOP + raw), HeaderBlock.parse(TOP + raw), large_text)


def test_a_draft_without_mime_shows_the_alternative_that_fits():
    found = resource(tree("alternative", entity("text/plain", b"short"), LARGE_HTML))

    assert found.message["body"] == {"contentType": "text", "content": "short"}
    assert [leaf.name for leaf in found.leaves] == ["message.html"]
    assert any("too large" in loss for loss in found.losses)


def test_a_draft_without_mime_says_that_its_text_is_a_file():
    found = resource(LARGE_PLAIN)

    assert found.message["body"]["content"] == SHORT_TEXT
    assert [leaf.name for leaf in found.leaves] == ["message.txt"]
    with pytest.raises(NotSeparableError):
        resource(LARGE_PLAIN, LargeText.REFUSE)


def test_a_draft_without_mime_loses_nothing_that_is_nested_too_deeply():
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(120)
    )

    found = resource(deep + b"\r\nthe innermost text")

    assert any(
        b"the innermost text" in (TOP + deep + b"\r\nthe innermost text")[f.start : f.end]
        for f in found.leaves
    )
