"""Nothing is quadratic: four times the input costs about four times the processor time."""

from datetime import UTC, datetime

import pytest

from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.compose import compose
from mailrelay.mime.headers import HeaderBlock, decode_words
from mailrelay.mime.identity import FromPolicy, Identity
from mailrelay.mime.leaves import decoded_size
from tests.harness.linear import assert_linear
from tests.mime.test_taking_apart import Bytes

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def nested(n):
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(n)
    )


MESSAGES = {
    "headers": lambda n: b"X-A: b\r\n" * (n * 5000) + b"\r\nx",
    "8-bit headers": lambda n: b"X-A: \xe4 b\r\n" * (n * 1500) + b"\r\nx",
    "one folded header": lambda n: b"Subject: a\r\n" + b" b\r\n" * (n * 10_000) + b"\r\nx",
    "one folded 8-bit header": lambda n: b"Subject: a\r\n" + b" \xe4\r\n" * (n * 5000) + b"\r\nx",
    "bare CR in a header": lambda n: b"Subject: " + b"\r" * (n * 50_000),
    "dates of an mbox line": lambda n: b"From x" + b" Mon Jan 1" * (n * 5000) + b"\nx",
    "days of an mbox line": lambda n: b"From x" + b" Mon  " * (n * 10_000) + b"\nx",
    "a long garbage line": lambda n: b"x" * (n * 50_000),
    "To fields": lambda n: b"To: a@x\r\n" * (n * 2000) + b"\r\n",
    "addresses": lambda n: (
        b"To: " + b",\r\n ".join(b"n <a%d@x.org>" % i for i in range(n * 1500)) + b"\r\n\r\n"
    ),
    "From addresses": lambda n: (
        b"From: " + b", ".join(b"a%d@x.org" % i for i in range(n * 1500)) + b"\r\n\r\n"
    ),
    "parts": lambda n: MULTIPART + b"--b\r\n\r\n\xe4\r\n" * (n * 500),
    "delimiters": lambda n: MULTIPART + b"--b\n" * (n * 500),
    "other delimiters": lambda n: MULTIPART + b"--c\n" * (n * 20_000),
    "nesting": lambda n: nested(n * 500) + b"\xe4",
    "embedded messages": lambda n: b"Content-Type: message/rfc822\r\n\r\n" * (n * 3000) + b"\xe4",
    "8-bit text": lambda n: b"\r\n" + b"\xe4\n" * (n * 40_000),
    "8-bit quoted-printable": lambda n: (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"\xe4=\n" * (n * 20_000)
    ),
    "CRs": lambda n: b"\r\n" + b"\r" * (n * 50_000),
    "runs of CR": lambda n: b"\r\n" + (b"\r" * 5_000 + b"x\r\r\n") * (n * 20),
    "CRs before delimiters": lambda n: MULTIPART + (b"\r" * 2_000 + b"\n--b\r\n") * (n * 100),
    "quotes around an address": lambda n: (
        b"From: " + b"'" * (n * 10_000) + b"a@x.org" + b"'" * (n * 10_000) + b"\r\n\r\n"
    ),
    "brackets without an address": lambda n: b"From: " + b"[a(b{" * (n * 5_000) + b"\r\n\r\n",
    "authors without an address": lambda n: b"From: " + b'"A <a>", ' * (n * 1_000) + b"\r\n\r\n",
    "blanks in a Content-Disposition": lambda n: (
        MULTIPART + b"--b\r\nContent-Disposition: a" + b" b " * (n * 5_000) + b"\r\n\r\n\xe4"
    ),
    "one long line": lambda n: b"\r\n" + b"x" * (n * 200_000),
    "long lines": lambda n: b"\r\n" + (b"x" * 1_500 + b"\r\n") * (n * 200),
    "a long line of base64": lambda n: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * (n * 50_000),
    "a long header line of words": lambda n: b"Subject: " + b"word " * (n * 5_000) + b"\r\n\r\nx",
    "a long header line of one word": lambda n: b"Subject: " + b"x" * (n * 20_000) + b"\r\n\r\nx",
    "a long preamble line": lambda n: MULTIPART + b"x" * (n * 100_000) + b"\r\n--b\r\n\r\ny",
    "a long name": lambda n: (
        b'Content-Disposition: attachment; filename="' + b"n" * (n * 10_000) + b'"\r\n\r\nx'
    ),
    "two Content-Types": lambda n: (
        MULTIPART + b"--b\r\n" + b"Content-Type:\r\n x\r\n" * (n * 2_000) + b"\r\ny"
    ),
    "parameters of one family": lambda n: (
        b"Content-Type: multipart/mixed"
        + b"".join(b"; a*%d=\xe4" % i for i in range(n * 500))
        + b"\r\n\r\n\xe4"
    ),
    "many parameters": lambda n: (
        b"Content-Type: multipart/mixed"
        + b"".join(b"; a%d=\xe4" % i for i in range(n * 500))
        + b"\r\n\r\n\xe4"
    ),
    "open quotes of parameters": lambda n: (
        b"Content-Disposition: a\xe4" + b'; name="\\"' * (n * 1000) + b"\r\n\r\nx"
    ),
    "identifiers": lambda n: b"References:" + b" <\xe4@x> \xe4" * (n * 1000) + b"\r\n\r\nx",
    "groups": lambda n: b"Reply-To:" + b" \xe4: a@b;" * (n * 300) + b"\r\n\r\nx",
    "what HTML declares": lambda n: b"Content-Type: text/html\r\n\r\n\xe4" + b"<meta " * (n * 5000),
    "mbox lines": lambda n: (
        b"Content-Type: message/rfc822\r\n\r\nFrom x Mon Jan 1\r\n" * (n * 1000) + b"\xe4"
    ),
    "parameters": lambda n: b"Content-Type: multipart/mixed" + b"; a=\xe4" * (n * 2000) + b"\r\n\r\n\xe4",
}

LISTS = {
    "quotes": '"',
    "escapes": '"\\',
    "open quotes": '"a\\", ',
    "parentheses": "(",
    "closed parentheses": "()",
    "angles": "<",
    "groups": "a:",
    "members": "x:a@b,",
    "ats": "@ ",
    "glue": 'a"b"',
    "encoded words": "=?a?q?",
    "brackets": "[",
    "names": "Doe, ",
    "commas": ",",
    "addresses": "a@b ",
    "backslashes": "\\",
}


def compose_to_two(raw):
    return compose(
        raw,
        recipients=["a@example.org", "b@example.org"],
        identity=Identity(FromPolicy.REWRITE, "relay@example.org"),
        header_from="",
        message_id="<x@example.org>",
        date=datetime(2026, 11, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_composing_is_linear(name):
    assert_linear(compose_to_two, MESSAGES[name])


@pytest.mark.parametrize("text", [b"AA=", b"=", b"A=", b"QUJD\r\n", b"A!"])
def test_decoding_base64_is_linear(text):
    def decoded(data):
        return decoded_size(Bytes(data), 0, len(data), "base64")

    assert_linear(decoded, lambda n: text * (n * 30_000))


@pytest.mark.parametrize("name", LISTS)
def test_reading_addresses_is_linear(name):
    assert_linear(parse_addresses, lambda n: LISTS[name] * (n * 3000))


@pytest.mark.parametrize("text", ["=?a?q?", "=?utf-8?q?a?= ", "=?x", "?=", "=?utf-8?b?w6Q=?="])
def test_decoding_words_is_linear(text):
    assert_linear(decode_words, lambda n: text * (n * 3000))


@pytest.mark.parametrize(
    "line", [b"\r", b"\r\n", b" \r\n", b"A: b\r\n \t\r\n", b"A\t", b"A:\r\r", b"From x\n"]
)
def test_parsing_headers_is_linear(line):
    assert_linear(HeaderBlock.parse, lambda n: b"A: b\r\n" + line * (n * 5000))


def test_a_list_too_long_to_be_sent_is_not_read_and_everybody_is_blind():
    raw = b"To: " + b", ".join(b"somebody%d@example.net" % n for n in range(20_000)) + b"\r\n\r\n"
    headers = HeaderBlock.parse(compose_to_two(raw).parts[0])

    assert headers.get("To") is None
    assert headers.get("Bcc") == "a@example.org, b@example.org"
