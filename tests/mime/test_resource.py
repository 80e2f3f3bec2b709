"""A message as Graph's own resource: one text, and everything else as files."""

import pytest

from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.resource import as_resource
from tests.mime.test_taking_apart import Bytes

PLAIN = b"Content-Type: text/plain\r\n\r\nThe contract ends on Friday."
HTML = b"Content-Type: text/html\r\n\r\n<p>The contract ends on Friday.</p>"
FOOTER = b"Content-Type: text/html\r\n\r\n<p>Sent from my device</p>"
PDF = b"Content-Type: application/pdf; name=x.pdf\r\n\r\nPDF"


def multipart(kind, *parts):
    boundary = f"=_{kind}".encode()
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="=_{kind}"\r\n\r\n'.encode()
    return head + body + b"--" + boundary + b"--"


def resource(raw):
    return as_resource(Bytes(raw), HeaderBlock.parse(raw))


def content(found):
    return found.message["body"]["content"]


@pytest.mark.parametrize(
    ("raw", "body", "files"),
    [
        (PLAIN, "The contract ends on Friday.", []),
        (multipart("alternative", PLAIN, HTML), "<p>The contract ends on Friday.</p>", []),
        (multipart("alternative", HTML, PLAIN), "<p>The contract ends on Friday.</p>", []),
        (
            multipart("mixed", PLAIN, PDF, FOOTER),
            "The contract ends on Friday.",
            ["application/pdf", "text/html"],
        ),
        (multipart("mixed", PLAIN, PLAIN), "The contract ends on Friday.", ["text/plain"]),
        (
            multipart("mixed", multipart("alternative", PLAIN, multipart("related", HTML, PDF)), FOOTER),
            "<p>The contract ends on Friday.</p>",
            ["application/pdf", "text/html"],
        ),
        (
            multipart("alternative", multipart("mixed", PLAIN, FOOTER), HTML),
            "<p>The contract ends on Friday.</p>",
            ["text/html"],
        ),
    ],
    ids=["one", "two", "html first", "footer", "two alike", "within", "footer of an alternative"],
)
def test_only_an_alternative_of_the_text_is_not_in_it(raw, body, files):
    found = resource(raw)

    assert content(found) == body
    assert [leaf.content_type for leaf in found.leaves] == files
    assert any("plain text" in loss for loss in found.losses) == (b"alternative" in raw)
    assert any("further texts" in loss for loss in found.losses) == bool(
        {"text/html", "text/plain"} & {*files}
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text/plain", "Grüße".encode()),
        ("text/plain; charset=us-ascii", "Grüße".encode("iso-8859-1")),
        ("text/plain; charset*=''iso-8859-1", "Grüße".encode("iso-8859-1")),
        ("text/html", b"<meta charset=ibm850>" + "Grüße".encode("cp850")),
        ("multipart/mixed; boundary=other", "Grüße".encode()),
    ],
)
def test_the_text_is_read_in_the_charset_that_it_declares(kind, data):
    found = resource(f"Content-Type: {kind}\r\n\r\n".encode() + data)

    assert content(found).endswith("Grüße")
    assert found.leaves == ()
