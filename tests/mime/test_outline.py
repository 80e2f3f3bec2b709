"""What is a text, what an invitation, and what a file: one decision for every reader."""

import pytest

from mailrelay.mime.outline import Outline, Role
from mailrelay.mime.source import InMemory
from tests.fidelity.mails import multipart
from tests.harness.linear import assert_linear

T, C, F = Role.TEXT, Role.CALENDAR, Role.FILE


def p(kind: str, *more: str) -> bytes:
    return "\r\n".join([f"Content-Type: {kind}", *more, "", "x"]).encode()


def tree(kind: str, *parts: bytes) -> bytes:
    return multipart(kind.encode(), *parts, boundary=b"b%d" % len(b"".join(parts)))


def roles(raw: bytes) -> list[Role]:
    return [role for role in Outline(InMemory(raw)).roles if role]


PLAIN, HTML, PNG = p("text/plain"), p("text/html"), p("image/png; name=p.png")
INVITE = p("text/calendar; method=REQUEST")
ATTACHED = "Content-Disposition: attachment; filename=x"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (PLAIN, [T]),
        (p("text/html; name=body.html"), [T]),
        (p("text/plain", ATTACHED), [F]),
        (p("application/pdf"), [F]),
        (INVITE, [C]),
        (tree("alternative", PLAIN, HTML), [T, T]),
        (tree("alternative", PLAIN, p("text/html; name=body.html")), [T, T]),
        (tree("alternative", PLAIN, HTML, INVITE), [T, T, C]),
        (tree("alternative", PLAIN, p("application/pdf")), [T, F]),
        (tree("alternative", PLAIN, p("text/x-amp-html"), HTML), [T, T, T]),
        (tree("mixed", p("text/html; name=body.html"), PNG, PNG), [T, F, F]),
        (tree("related", p("text/html", "Content-Disposition: inline; filename=body.html"), PNG), [T, F]),
        (tree("mixed", PNG, p("text/plain; name=notes.txt")), [F, T]),
        (tree("mixed", PLAIN, p("text/plain; name=notes.txt")), [T, F]),
        (tree("mixed", PLAIN, PNG, PLAIN), [T, F, T]),
        (tree("mixed", tree("alternative", PLAIN, HTML), p("text/html; name=report.html")), [T, T, F]),
        (tree("alternative", PLAIN, tree("related", p("text/html; name=a.html"), PNG)), [T, T, F]),
        (tree("mixed", p("text/plain", ATTACHED), PLAIN), [F, T]),
        (tree("mixed", PLAIN, p("text/calendar; method=REQUEST; name=invite.ics")), [T, C]),
        (tree("mixed", PLAIN, p("text/calendar; name=invite.ics")), [T, F]),
        (tree("mixed", PLAIN, p("text/calendar; method=REQUEST", ATTACHED)), [T, F]),
        (tree("mixed", PLAIN, p("application/octet-stream; name=invite.ics")), [T, F]),
        (tree("appledouble", p("application/applefile"), PNG), [F, F]),
        (tree("mixed", PLAIN, b"Content-Type: message/rfc822\r\n\r\n" + tree("mixed", PLAIN, PNG)), [T, F]),
        (b"Content-Type: multipart/mixed\r\n\r\nno boundary", [T]),
        (tree("signed", PLAIN, p("application/pgp-signature")), [T, F]),
    ],
)
def test_each_part_has_its_role(raw, found):
    assert roles(raw) == found


@pytest.mark.parametrize("kind", ["text/html; name=a.html", "text/plain", "text/calendar; name=a.ics"])
def test_roles_are_found_in_time_linear_in_the_parts(kind):
    assert_linear(lambda raw: Outline(InMemory(raw)), lambda n: tree("mixed", *[p(kind)] * (n * 200)))
