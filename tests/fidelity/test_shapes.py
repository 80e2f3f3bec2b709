"""Mail of many shapes on both routes: what is submitted is what came, but for what must change."""

import email
import email.policy

import pytest

from mailrelay.vocabulary import Route, State
from tests.delivery.office import fresh
from tests.fidelity.mails import BIG, CLEAN, THREAD, TOP, UNCLEAN, padded


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


@pytest.mark.parametrize("route", list(Route))
def test_an_invitation_goes_to_the_envelope_and_not_to_its_attendees(writer, queued, route):
    delivery, _ = send(writer, queued, CLEAN["calendar"], route)

    assert delivery["recipients"] == ["ann@example.org"]
