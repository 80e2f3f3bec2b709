"""Whom a calendar sends an invitation to, in every reading; and what is not clear is not taken for clear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mime.icalendar import read_calendar
from tests.harness.linear import assert_linear
from tests.mime.calendars import calendar, event

ANN, BOB, BOSS = "ann@example.org", "bob@example.org", "relay@example.org"


def asks(text: bytes | str, method: str = "REQUEST"):
    return read_calendar(text if isinstance(text, str) else text.decode()).asks(method.lower())


def with_line(line: str) -> str:
    return calendar(event(more=f"{line}\r\n")).decode()


@pytest.mark.parametrize(
    ("method", "people"),
    [("REQUEST", {ANN, BOB}), ("CANCEL", {ANN, BOB}), ("REPLY", {BOSS}), ("COUNTER", {BOSS})],
)
def test_the_method_says_who_is_asked(method, people):
    assert asks(calendar(event(ANN, BOB), method=method), method) == people


@pytest.mark.parametrize(
    "line",
    [
        "ATTENDEE:mailto:ann@example.org",
        "ATTENDEE:MAILTO:Ann@Example.ORG",
        "attendee;rsvp=true:MailTo:ann@example.org",
        'ATTENDEE;CN="Lee, Ann: the boss; really":mailto:ann@example.org',
        "ATTENDEE;ROLE=REQ-PARTICIPANT;CN=Ann;X-NUM-GUESTS=0:mailto:ann@example.org",
        "ATTENDEE;CN=Ann:mailto:ann%40example.org",
        "ATTENDEE:mailto:%61nn@example.org ",
        "ATTENDEE;CN=Ann:mail\r\n to:ann@exa\r\n\tmple.org",
        "ATTENDEE;CN=Ann:mailto:ann@example\n .org",
        "ATTENDEE;EMAIL=ann@example.org:mailto:ann@example.org",
        'ATTENDEE;SENT-BY="mailto:x@y.org":mailto:ann@example.org',
        "ATTENDEE:mailto:ann@example.org\r\nATTENDEE:mailto:ANN@example.org",
        "ATTENDEE:mailto:ann@example.org.",
        "X-ATTENDEE-COUNT:5\r\nATTENDEE:mailto:ann@example.org",
        "DESCRIPTION:write to ATTENDEE:mailto:x@y.org\r\nATTENDEE:mailto:ann@example.org",
    ],
)
def test_an_attendee_is_read_however_the_line_is_written(line):
    assert asks(with_line(line)) == {ANN}


@pytest.mark.parametrize(
    "line",
    [
        "ATTENDEE:ann@example.org",
        "ATTENDEE:invalid:nomail",
        "ATTENDEE:urn:uuid:1",
        "ATTENDEE;CN=Ann: the boss:mailto:ann@example.org",
        'ATTENDEE;CN="Ann:mailto:ann@example.org',
        "ATTENDEE mailto:ann@example.org",
        "ATTENDEE:mailto:",
        "ATTENDEE:mailto:ann",
        "ATTENDEE:mailto:ann@example.org,bob@example.org",
        "ATTENDEE:mailto:ann@example.org?cc=bob@example.org",
        "ATTENDEE:mailto:ann@example.org bob@example.org",
        "ATTENDEE:mailto:Ann <ann@example.org>",
        "ATTENDEE;EMAIL=bob@example.org:mailto:ann@example.org",
        "ORGANIZER:nobody\r\nATTENDEE:mailto:ann@example.org",
        "BEGIN:VALARM\r\nATTENDEE:mailto:bob@example.org\r\nEND:VALARM\r\nATTENDEE:mailto:ann@example.org",
        "ATTENDEE:mailto:ann@example.org\r\nBEGIN:VALARM",
        "ATTENDEE:mailto:ann@example.org\r\nEND:VCALENDAR",
        "ATTENDEE:mailto:ann@example.org\r\nMETHOD:CANCEL",
        f"ATTENDEE:mailto:ann@example.org\r\nATTENDEE:mailto:{BOSS}",
    ],
)
def test_what_readers_could_differ_over_is_not_clear(line):
    assert asks(with_line(line)) is None


def test_every_event_has_to_name_the_same_people():
    assert asks(calendar(event(ANN, BOB), event(BOB, ANN))) == {ANN, BOB}
    assert asks(calendar(event(ANN, BOB), event(ANN))) is None
    assert asks(calendar(event(ANN), event(ANN, name="VTODO"))) == {ANN}


def test_several_calendars_are_read_as_one():
    assert asks(calendar(event(ANN)) + calendar(event(ANN))) == {ANN}
    assert asks(calendar(event(ANN)) + calendar(event(BOB))) is None
    assert asks(calendar(event(ANN)) + calendar(event(ANN), method="CANCEL")) is None


def test_a_calendar_without_anything_in_it_asks_nobody_that_is_known():
    assert asks(calendar()) is None
    assert asks("") is None
    assert asks(calendar(event())) == set()


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\r\r\n"])
def test_line_ends_of_all_systems_are_read(line_end):
    text = calendar(event(ANN)).decode().replace("\r\n", line_end)

    assert asks("\ufeff" + text) == {ANN}


@given(
    st.text(max_size=300), st.lists(st.sampled_from(["ATTENDEE", "BEGIN:VEVENT", ";", ":", '"', "\n", " "]))
)
def test_any_text_is_taken(text, pieces):
    assert read_calendar(text + "".join(pieces)) is not None


@pytest.mark.parametrize(
    "text",
    ['ATTENDEE;CN="', "BEGIN:X\n", "END:X\n", "ATTENDEE:mailto:a@b.org\n", "\n ", 'ATTENDEE;"":', "\r"],
)
def test_it_takes_time_that_grows_with_the_text_alone(text):
    assert_linear(read_calendar, lambda n: text * (n * 2000))
