"""Text of others, made fit to be stored and shown."""

import pytest

from mailrelay.graph.redaction import safe_line, safe_text
from tests.harness.linear import assert_linear

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJyb2xlcyI6WyJNYWlsLlNlbmQiXX0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"token={TOKEN[:40]}",
        "authorization: bearer opaque-token-1234567890",
        "Proxy-Authorization: Basic dXNlcjpodW50ZXIy",
        "grant_type=client_credentials&client_secret=s3cr3t~value&scope=x",
        "client_assertion=abc.def.ghi&x=y",
        "https://outlook.office.com/api/x?authtoken=abcdef12345",
        "VGhlIGNvbmZpZGVudGlhbCB0b25lciBsZXZlbCBpcyA3ICUu" * 4,
    ],
)
def test_it_masks_what_an_intermediary_may_have_echoed(text):
    shown = safe_text(f"before {text} after", 1000)
    assert "[removed]" in shown
    assert shown.startswith("before")
    for secret in (
        TOKEN[10:30],
        "opaque-token",
        "dXNlcjpodW50ZXIy",
        "s3cr3t",
        "abc.def",
        "abcdef12345",
        "VGhl",
    ):
        assert secret not in shown


def test_it_masks_given_secrets_whatever_they_look_like():
    assert safe_text("you said tulip", 100, secrets=("", "tulip")) == "you said [removed]"


def test_no_half_of_a_secret_survives_at_the_edge():
    for limit in range(1, 120):
        assert "eyJhb" not in safe_text(f"x {TOKEN} y", limit)


def test_it_keeps_what_support_asks_for():
    text = "AADSTS7000215: Invalid client secret. Trace ID: 322fcb07-e261-46dc-8df1-eeb8f9fb05bb"
    assert safe_text(text, 1000) == text


@pytest.mark.parametrize("unit", ["eyJ", "eyJabcdefgh ", "bearer ", "client_secret=", "eyJabcdefgh."])
def test_a_long_and_repetitive_page_is_no_work(unit):
    assert_linear(lambda text: safe_text(text, 100), lambda n: unit * (n * 2_500))


def test_it_gives_text_that_every_database_takes():
    shown = safe_text("a\x00b\ud800c\x1b[31m\n\tz", 100)
    shown.encode()
    assert "\x00" not in shown
    assert "\x1b" not in shown
    assert shown.endswith("\n\tz")
    assert safe_text(b"\xff\xfe", 100)


def test_it_cuts_to_the_limit_and_joins_lines():
    assert safe_text("x" * 50, 10) == "x" * 9 + "…"
    assert safe_line(" a\r\n  b\t c ", 100) == "a b c"
