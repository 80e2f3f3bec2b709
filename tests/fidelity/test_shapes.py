"""Mail of many shapes on both routes: what is submitted is what came, but for what must change."""

import base64
import email
import email.policy
import quopri
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailrelay.models import Mailbox, SenderConfig
from mailrelay.vocabulary import Route, State
from tests.delivery.office import fresh, timeline
from tests.fidelity.mails import (
    BIG,
    CALENDAR,
    CHARSETS,
    CLEAN,
    FILE,
    FORWARD,
    HTML,
    NAMES,
    PICTURE,
    PLAIN,
    QP,
    SHIFT_JIS,
    SIGNED,
    SMIME,
    THREAD,
    TNEF,
    TOP,
    UNCLEAN,
    multipart,
    padded,
)
from tests.mime import samples


def submitted(office) -> tuple[dict, bytes]:
    (delivery,) = office.sandbox.deliveries()
    return delivery, office.sandbox.raw(delivery["seq"])


def send(office, queued, entity: bytes, route: Route, head: bytes = b"") -> tuple[dict, bytes]:
    data = TOP + head + (padded(entity) if route is Route.LARGE else entity) + b"\r\n"
    delivery = queued(data, route)
    office.work()
    assert fresh(delivery).state == State.SENT, delivery.last_error
    return submitted(office)


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize("entity", CLEAN.values(), ids=CLEAN.keys())
def test_it_arrives_byte_for_byte(writer, queued, entity, route):
    delivery, raw = send(writer, queued, entity, route, THREAD)

    assert delivery["recipients"] == ["ann@example.org"]
    assert entity in raw
    assert TOP[TOP.index(b"Message-ID") : TOP.index(b"MIME")] + b"MIME-Version: 1.0\r\n" + THREAD in raw
    if route is Route.LARGE:
        *_, file = email.message_from_bytes(raw, policy=email.policy.default).iter_parts()
        assert (file.get_filename(), file.get_content()) == ("big.zip", BIG)


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize(("head", "content"), UNCLEAN.values(), ids=UNCLEAN.keys())
def test_what_is_made_safe_says_the_same(writer, queued, head, content, route):
    _, raw = send(writer, queued, head + content, route)

    message = email.message_from_bytes(raw, policy=email.policy.default)
    part = next(message.iter_parts()) if route is Route.LARGE else message
    decoded = part.get_payload(decode=True)
    assert raw.isascii()
    assert decoded.rstrip(b"\r\n") == content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").rstrip(
        b"\r\n"
    ) or (part.get_content_maintype() != "text" and decoded[: len(content)] == content)


@pytest.mark.parametrize(
    ("encoding", "route"),
    [("base64", Route.MIME), ("quoted-printable", Route.MIME), ("8bit", Route.MIME), ("8bit", Route.LARGE)],
)
@pytest.mark.parametrize(("charset", "text"), CHARSETS.items(), ids=CHARSETS.keys())
def test_text_of_any_charset_reads_the_same(writer, queued, charset, text, encoding, route):
    content = text.encode(charset) + b"\r\n"
    encoded = {
        "base64": lambda: base64.encodebytes(content).replace(b"\n", b"\r\n"),
        "quoted-printable": lambda: quopri.encodestring(content, quotetabs=True),
        "8bit": lambda: content,
    }[encoding]()
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"

    _, raw = send(writer, queued, head.encode() + encoded, route)

    message = email.message_from_bytes(raw, policy=email.policy.default)
    part = next(message.iter_parts()) if route is Route.LARGE else message
    assert raw.isascii()
    assert part.get_content_charset() == charset
    assert part.get_payload(decode=True).decode(charset).rstrip("\r\n") == text


def files_of(message):
    return [
        (part.get_filename(), part.get_payload(decode=True))
        for part in message.walk()
        if part.get_content_disposition() == "attachment"
    ]


@pytest.mark.parametrize("route", list(Route))
@pytest.mark.parametrize("name", ["outlook", "nextcloud", "thunderbird", "invite", "list"])
def test_mail_of_real_programs_arrives_with_its_texts_files_and_fields(writer, queued, name, route):
    sample = samples.ALL[name].replace(b"mailto:john@example.org", b"mailto:ann@example.org")
    head, _, body = sample.partition(b"\r\n\r\n")
    if route is Route.LARGE:
        outer, content = [], []
        for field in re.split(rb"\r\n(?![ \t])", head):
            (content if field.lower().startswith(b"content-t") else outer).append(field)
        body, head = padded(b"\r\n".join(content) + b"\r\n\r\n" + body), b"\r\n".join(outer)
        sample = head + b"\r\n" + body
    delivery = queued(sample, route)
    SenderConfig.objects.update(rewrite_signed=True)
    writer.work()
    assert fresh(delivery).state == State.SENT, delivery.last_error

    _, raw = submitted(writer)
    sent, arrived = (email.message_from_bytes(data, policy=email.policy.default) for data in (sample, raw))
    for kind in ("text/plain", "text/html", "text/calendar"):
        before, after = (
            [part.get_payload(decode=True) for part in message.walk() if part.get_content_type() == kind]
            for message in (sent, arrived)
        )
        assert after == before, kind
    assert files_of(arrived) == files_of(sent)
    for field in ("Subject", "Date", "Message-ID", "In-Reply-To", "References", "List-Id", "Thread-Index"):
        assert arrived[field] == sent[field], field
    if name == "thunderbird":  # the signature is over these bytes
        signed = samples.ALL[name].partition(b"--------------ms01\r\n")[2]
        assert signed[: signed.index(b"\r\n--------------ms01--")] in raw


TEXTS = st.sampled_from([PLAIN, HTML, QP, SHIFT_JIS, CALENDAR])
FILES = st.sampled_from([NAMES, TNEF, FORWARD, PICTURE, SIGNED, SMIME])


def _joined(kind, parts, number):
    return multipart(kind, *parts, boundary=b"made%d" % number)


#: Trees of parts, each multipart with a boundary of its own by its size.
TREES = st.recursive(
    st.one_of(TEXTS, FILES),
    lambda inner: st.builds(
        lambda kind, parts: _joined(kind, parts, len(b"".join(parts))),
        st.sampled_from([b"mixed", b"alternative", b"related"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("route", list(Route))
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entity=TREES)
def test_whatever_tree_of_parts_arrives_byte_for_byte(writer, queued, entity, route):
    writer.sandbox.reset()
    Mailbox.objects.update(upload_bytes_per_5_minutes=0)
    writer.sandbox.world(limits={"upload_bytes": 0})

    _, raw = send(writer, queued, entity, route)

    assert entity in raw


def test_what_is_known_to_be_lost_stands_on_the_timeline(writer, queued):
    """A scan alone: a file and no text."""
    data = TOP + FILE + base64.encodebytes(BIG).replace(b"\n", b"\r\n")
    scan = queued(data, Route.LARGE)
    signed = queued(TOP + SIGNED + b"\r\n", Route.MIME)
    clean = queued(TOP + PLAIN + b"\r\n", Route.MIME)

    writer.work()

    assert "travels as the attachment of an empty text" in timeline(scan)
    assert "1 files travel apart" in timeline(scan)
    assert "were left with 8-bit bytes" in timeline(signed)
    assert "Sent with changes" not in timeline(clean)
