"""Invitations: as they are where Graph sends them to the recipients, else as files and to nobody else."""

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.invitations import (
    AS_FILE,
    Conflict,
    InvitationError,
    mentions_calendar,
    settle_invitations,
)
from mailrelay.mime.shorttext import INSTEAD_OF_INVITATION
from mailrelay.vocabulary import Invitations
from sandbox.calendars import invited
from tests.fidelity.mails import multipart
from tests.harness.linear import assert_linear
from tests.mime import samples
from tests.mime.calendars import HTML, PLAIN, TOP, calendar, event, part
from tests.mime.test_compose import made

ANN, BOB = "ann@example.org", "bob@example.org"
REQUEST = calendar(event(ANN))
INVITE = part(REQUEST)
NAMED = "Content-Disposition: attachment; filename=talk.ics"
FORWARD = (
    b"Content-Type: message/rfc822\r\n\r\n" + TOP + multipart(b"alternative", PLAIN, INVITE, boundary=b"f")
)


def settled(entity: bytes, *recipients: str, policy: Invitations = Invitations.FILE):
    raw = TOP + entity + b"\r\n"
    found, changes = settle_invitations(raw, recipients, policy)
    return found, changes, raw


def parsed(raw: bytes):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert not [part for part in message.walk() if part.defects]
    return message


def outline(message) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


def leaves(raw: bytes) -> list[bytes]:
    return [leaf.get_payload(decode=True) for leaf in parsed(raw).walk() if not leaf.is_multipart()]


#: Every way in which mail carries a calendar, and what it becomes where that names others.
SHAPES = {
    "alternative": (
        multipart(b"alternative", PLAIN, HTML, INVITE),
        ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/octet-stream"],
    ),
    "alternative in mixed": (
        multipart(b"mixed", multipart(b"alternative", PLAIN, INVITE, boundary=b"a"), PLAIN),
        ["multipart/mixed", "multipart/alternative", "text/plain", "application/octet-stream", "text/plain"],
    ),
    "mixed": (
        multipart(b"mixed", PLAIN, INVITE),
        ["multipart/mixed", "text/plain", "application/octet-stream"],
    ),
    "mixed, as a file": (
        multipart(b"mixed", PLAIN, part(REQUEST, "text/calendar; method=REQUEST", NAMED)),
        ["multipart/mixed", "text/plain", "application/octet-stream"],
    ),
    "related": (
        multipart(b"related", HTML, INVITE),
        ["multipart/related", "text/html", "application/octet-stream"],
    ),
    "related in an alternative": (
        multipart(b"alternative", PLAIN, multipart(b"related", HTML, INVITE, boundary=b"r")),
        ["multipart/alternative", "text/plain", "multipart/related", "text/html", "application/octet-stream"],
    ),
    "alone": (INVITE, ["multipart/mixed", "text/plain", "application/octet-stream"]),
    "alone in an alternative": (
        multipart(b"alternative", INVITE),
        ["multipart/mixed", "multipart/alternative", "text/plain", "application/octet-stream"],
    ),
    "two in alternatives of a mixed": (
        multipart(
            b"mixed",
            multipart(b"alternative", PLAIN, INVITE, part(calendar(event("cy@example.org"))), boundary=b"a"),
            HTML,
        ),
        ["multipart/mixed", "multipart/alternative", "text/plain"]
        + ["application/octet-stream"] * 2
        + ["text/html"],
    ),
    "twice": (
        multipart(b"mixed", multipart(b"alternative", PLAIN, INVITE, boundary=b"a"), INVITE),
        ["multipart/mixed", "multipart/alternative", "text/plain"] + ["application/octet-stream"] * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entity", "becomes"), SHAPES.values(), ids=SHAPES.keys())
def test_an_invitation_to_others_is_a_file_beside_what_is_read(entity, becomes):
    found, changes, raw = settled(entity, BOB)

    assert changes == [AS_FILE]
    assert outline(parsed(found)) == becomes
    assert ANN in invited(raw)
    assert invited(found) == []
    files = [leaf for leaf in parsed(found).walk() if leaf.get_content_type() == "application/octet-stream"]
    assert {leaf.get_filename() for leaf in files} <= {"invite.ics", "talk.ics"}
    assert all(leaf.get_content_disposition() == "attachment" for leaf in files)
    kept = [leaf for leaf in leaves(found) if leaf not in INSTEAD_OF_INVITATION]
    assert [leaf.strip() for leaf in kept] == [leaf.strip() for leaf in leaves(raw)]


@pytest.mark.parametrize("entity", [entity for entity, _ in SHAPES.values() if b"cy@" not in entity])
def test_an_invitation_to_exactly_the_recipients_stays_byte_for_byte(entity):
    found, changes, raw = settled(entity, "Ann@Example.ORG")

    assert (found, changes) == (raw, [])
    assert invited(found) == [ANN]


@pytest.mark.parametrize(
    "recipients", [(BOB,), (ANN, BOB), (), ("ann@example.org.au",), ("relay@example.org",)]
)
def test_one_recipient_more_or_less_makes_it_a_file(recipients):
    found, changes, _ = settled(SHAPES["alternative"][0], *recipients)

    assert changes == [AS_FILE]
    assert invited(found) == []


@pytest.mark.parametrize(
    "invite",
    [
        part(REQUEST, encoding="base64"),
        part(REQUEST, encoding="quoted-printable"),
        part(calendar(event(ANN), method=""), "text/calendar; method=REQUEST"),
        part(REQUEST, "text/calendar; charset=utf-8"),
        part(REQUEST, 'Text/Calendar; METHOD="request"'),
        part(REQUEST, "text/calendar; method*0=REQ; method*1=UEST"),
        part(REQUEST, "text/calendar; method*=us-ascii''REQUEST"),
        part(REQUEST, "text/calendar; name=invite.ics; method=REQUEST"),
        part(calendar(event(ANN), method="CANCEL"), "text/calendar; method=CANCEL"),
        part(REQUEST.decode().encode("utf-16"), "text/calendar; charset=utf-16", encoding="base64"),
        part(REQUEST.replace(b"SUMMARY:Talk", "SUMMARY:Gespräch".encode("iso-8859-1")),
             "text/calendar; charset=iso-8859-1; method=REQUEST"),
        part(REQUEST.replace(b"mailto:ann@example.org", b"MAILTO:ann%40example\r\n .org")),
        part(REQUEST.replace(b"\r\n", b"\n")),
        part(calendar(event(ANN)) + calendar(event(ANN))),
        part(REQUEST, "text/calendar; method=REQUEST\r\nContent-Transfer-Encoding: 8-bit"),
    ],
)  # fmt: skip
def test_it_is_read_whatever_encodes_and_spells_it(invite):
    entity = multipart(b"alternative", PLAIN, invite)
    found, changes, raw = settled(entity, ANN)
    assert (found, changes) == (raw, []), "it goes to exactly the recipient"

    found, changes, _ = settled(entity, BOB)
    assert changes == [AS_FILE]
    assert invited(found) == []


@pytest.mark.parametrize(
    ("invite", "recipients"),
    [
        (part(calendar(event(ANN), method="CANCEL")), [ANN]),
        (part(REQUEST + calendar(event(BOB))), [ANN, BOB]),
        (part(calendar(event(ANN), event(BOB))), [ANN, BOB]),
        (part(calendar(event(ANN, "relay@example.org"))), [ANN, "relay@example.org"]),
        (part(calendar(event())), ["relay@example.org"]),
        (part(b"no calendar at all\r\n"), [ANN]),
        (part(REQUEST.replace(b"mailto:ann", b"ann")), [ANN]),
        (part(REQUEST, "text/calendar; method=PUBLISH"), [ANN]),
        (part(REQUEST, "text/(so to speak)calendar; method=REQUEST"), [BOB]),
        (part(REQUEST, "text/plain\r\nContent-Type: text/calendar; method=REQUEST"), [BOB]),
        (part(REQUEST, 'text/calendar; method=REQUEST; charset="x-unknown"'), [BOB]),
    ],
    ids=["two methods", "two calendars", "two events", "organizer attends", "nobody", "garbage", "no URL",
         "publish", "comment", "two types", "charset"],
)  # fmt: skip
def test_what_readers_could_differ_over_is_a_file(invite, recipients):
    found, changes, _ = settled(multipart(b"alternative", PLAIN, invite), *recipients)

    assert changes == [AS_FILE]
    assert invited(found) == []


def test_a_reply_goes_to_the_organizer():
    reply = part(calendar(event(ANN), method="REPLY"), "text/calendar; method=REPLY")

    assert settled(reply, "relay@example.org")[1] == []
    assert settled(reply, ANN)[1] == [AS_FILE]


@pytest.mark.parametrize(
    "entity",
    [
        multipart(b"mixed", PLAIN, part(calendar(event(ANN), method=""), "text/calendar")),
        multipart(
            b"mixed", PLAIN, part(calendar(event(ANN), method="PUBLISH"), "text/calendar; method=PUBLISH")
        ),
        multipart(b"mixed", PLAIN, part(REQUEST, "application/octet-stream; name=invite.ics")),
        multipart(b"mixed", PLAIN, part(REQUEST, "application/ics", NAMED)),
        multipart(b"mixed", PLAIN, FORWARD),
        FORWARD,
        multipart(b"mixed", PLAIN, part(REQUEST, "text/plain")),
        part(b"About the text/calendar part that we had.\r\n", "text/plain"),
        multipart(b"mixed", PLAIN, b"Content-Type: multipart/mixed; boundary=none\r\n\r\n" + INVITE),
    ],
    ids=["no method", "published", "file", "ics", "forwarded", "a forward", "text", "word", "no parts"],
)
def test_what_is_no_invitation_stays_byte_for_byte(entity):
    found, changes, raw = settled(entity, BOB)

    assert (found, changes) == (raw, [])
    assert invited(raw) == []


def signed(entity: bytes) -> bytes:
    signature = b"Content-Type: application/pgp-signature\r\n\r\nxx"
    return multipart(b"signed", entity, signature, boundary=b"s")


@pytest.mark.parametrize(
    "outer", [lambda entity: entity, lambda e: multipart(b"mixed", e, PLAIN, boundary=b"o")]
)
def test_a_signed_invitation_is_refused_unless_it_names_exactly_the_recipients(outer):
    entity = outer(signed(multipart(b"alternative", PLAIN, INVITE)))

    with pytest.raises(InvitationError) as refused:
        settled(entity, BOB)
    assert refused.value.why is Conflict.SIGNED
    found, changes, raw = settled(entity, ANN)
    assert (found, changes) == (raw, [])


def test_what_is_encrypted_tells_nobody_whom_it_invites():
    entity = part(b"MIAG", "application/pkcs7-mime; smime-type=enveloped-data; name=calendar.p7m")

    assert settled(entity, BOB)[1] == []


def test_a_sender_may_refuse_or_trust():
    entity = SHAPES["mixed"][0]

    with pytest.raises(InvitationError) as refused:
        settled(entity, BOB, policy=Invitations.REFUSE)
    assert refused.value.why is Conflict.UNWANTED
    assert settled(entity, ANN, policy=Invitations.REFUSE)[1] == []
    found, changes, raw = settled(entity, BOB, policy=Invitations.LEAVE)
    assert (found, changes) == (raw, [])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Content-Disposition: inline; filename=meeting", "meeting.ics"),
        ('Content-Disposition: attachment; filename="Gespräch \\"neu\\".ICS"', 'Gespräch "neu".ICS'),
        ("Content-Disposition: attachment; filename*=utf-8''%E4%BC%9A.ics", "会.ics"),
        ("Content-Description: none", "invite.ics"),
    ],
)
def test_the_file_keeps_its_name_and_opens_as_a_calendar(line, name):
    found, _, _ = settled(
        multipart(b"mixed", PLAIN, part(REQUEST, "text/calendar; method=REQUEST", line)), BOB
    )

    assert [leaf.get_filename() for leaf in parsed(found).iter_attachments()] == [name]


def test_a_message_class_of_meetings_goes_with_the_invitation():
    raw = samples.INVITE.replace(b"Subject:", b"Content-Language: en\r\nSubject:")

    found, _ = settle_invitations(raw, [BOB], Invitations.FILE)

    message = parsed(found)
    assert message["Content-Class"] is None
    assert message["Subject"] == "Planning"
    assert b"calendarmessage" not in found


def test_a_boundary_that_is_in_the_message_is_not_made_twice():
    once, _, _ = settled(SHAPES["alone"][0], BOB)
    again, _ = settle_invitations(once, [BOB], Invitations.FILE)
    other, changes = settle_invitations(
        once.replace(b"application/octet-stream", b"text/calendar"), [BOB], Invitations.FILE
    )

    assert again == once
    assert changes == [AS_FILE]
    assert invited(other) == []


def test_composing_says_what_was_lost_and_how_large_it_is():
    data, composed = made(TOP + SHAPES["alternative"][0] + b"\r\n", BOB, invitations=Invitations.FILE)

    assert composed.losses == (AS_FILE,)
    assert AS_FILE in composed.changes
    assert invited(data) == []
    assert parsed(data)["To"] is None
    assert parsed(data)["Bcc"] == BOB


def test_a_calendar_with_8_bit_text_keeps_its_bytes_as_a_file():
    text = REQUEST.replace(b"SUMMARY:Talk", "SUMMARY:Gespräch".encode()).replace(b"\r\n", b"\n")
    data, _ = made(TOP + multipart(b"alternative", PLAIN, part(text)) + b"\r\n", BOB)

    *_, file = parsed(data).iter_attachments()
    assert file.get_payload(decode=True) == text
    assert data.isascii()


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 30), st.booleans())
def test_the_word_is_found_across_pieces(pieces, cut, present):
    word = b"texT/CALendar" if present else b"text/plain"
    whole = b"".join(pieces) + word + b"end"
    cut = min(cut, len(whole))

    found = mentions_calendar([whole[:cut], memoryview(whole)[cut:]])

    assert found == (b"calendar" in whole.lower())


LINES = st.sampled_from(
    [
        *(b"--a", b"--b", b"", b"text", b"BEGIN:VCALENDAR", b"METHOD:REQUEST"),
        *(b"BEGIN:VEVENT", b"END:VEVENT", b"ATTENDEE:mailto:ann@example.org", b"END:VCALENDAR"),
        *(b"Content-Type: text/calendar; method=REQUEST", b"Content-Type: multipart/alternative; boundary=b"),
        *(b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: message/rfc822", b"X-A: b"),
        *(b"Content-Type: multipart/signed; boundary=b", b"Content-Transfer-Encoding: base64"),
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\n"])


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([b"multipart/mixed", b"multipart/alternative", b"text/calendar; method=REQUEST"]),
    st.lists(st.tuples(LINES, ENDS), max_size=30),
)
def test_whatever_comes_nobody_is_invited_but_the_recipients(kind, lines):
    """By the sandbox's own reading, which shares nothing with the gateway's.

    No closing delimiters: Python's parser goes on behind one that follows another delimiter at once.
    """
    raw = TOP + b"Content-Type: " + kind + b"; boundary=a\r\n\r\n" + b"".join(a + b for a, b in lines)
    try:
        data, _ = made(raw, BOB)
    except InvitationError:
        return
    assert invited(data) == []


@pytest.mark.parametrize(
    "piece",
    [
        INVITE + b"\r\n--b\r\n",
        b"--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n",
        b"calendar ",
        REQUEST,
    ],
)
def test_it_takes_time_that_grows_with_the_message_alone(piece):
    begin = TOP + b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
    assert_linear(
        lambda raw: settle_invitations(raw, [BOB], Invitations.FILE), lambda n: begin + piece * (n * 100)
    )


DEEP = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(101))
GUEST = (
    b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
    b"BEGIN:VEVENT\r\nATTENDEE:mailto:guest@evil.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
ODD = b"Content-Type: multipart/mixed; boundary=a b\r\n\r\n"
UNREAD = {
    "nested too deeply": DEEP + GUEST,
    "too many": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 10_001 + GUEST,
    "an odd boundary": b"Content-Type: multipart/mixed; boundary=a b\r\n\r\n--a b\r\n"
    + GUEST
    + b"--a b--\r\n",
}


@pytest.mark.parametrize("rest", UNREAD.values(), ids=UNREAD.keys())
def test_a_calendar_that_may_stand_where_nobody_reads_is_refused(rest):
    raw = b"From: a@example.org\r\nTo: ann@example.org\r\nMIME-Version: 1.0\r\n" + rest

    with pytest.raises(InvitationError) as refused:
        settle_invitations(raw, ["ann@example.org"], Invitations.FILE)
    assert refused.value.why is Conflict.UNREAD
    assert settle_invitations(raw, ["ann@example.org"], Invitations.LEAVE) == (raw, [])


def test_such_a_structure_without_a_calendar_is_left_alone():
    raw = b"From: a@example.org\r\n" + ODD + b"--a b\r\n\r\nx\r\n--a b--\r\n"

    assert settle_invitations(raw, ["ann@example.org"], Invitations.FILE) == (raw, [])
