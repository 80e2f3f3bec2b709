"""The message as Graph gets it, on samples of the shapes that real programs send."""

import email
import email.policy
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.address_forms import normalise
from mailrelay.mime.compose import DIRECT_LIMIT, HEADER_LIMIT, compose, compose_headers
from mailrelay.mime.envelope import named_recipients
from mailrelay.mime.headers import HeaderBlock, decode_words
from mailrelay.mime.identity import FromPolicy, Identity
from mailrelay.mime.safe import is_clean
from tests.mime import samples

DATE = datetime(2026, 11, 2, 8, 15, 30, tzinfo=UTC)
MESSAGE_ID = "<made@relay.example.org>"
IDENTITY = Identity(FromPolicy.REWRITE, "relay@example.org")


def made(raw, *recipients, **more):
    given = {
        "recipients": recipients,
        "identity": IDENTITY,
        "header_from": "",
        "message_id": MESSAGE_ID,
        "date": DATE,
    }
    composed = compose(raw, **given | more)
    data = b"".join(composed.parts)
    assert composed.size == len(data)
    return data, composed


def parsed(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def test_outlook_mail_to_its_own_recipients_is_byte_for_byte_the_same():
    data, composed = made(samples.OUTLOOK, "john@example.org", "joerg@example.org", "lead@example.org")

    assert data == samples.OUTLOOK
    assert composed.changes == ()


def test_outlook_mail_to_one_more_gains_a_bcc_and_nothing_else():
    data, _ = made(
        samples.OUTLOOK, "john@example.org", "joerg@example.org", "lead@example.org", "b@example.org"
    )

    assert data.replace(b"Bcc: b@example.org\r\n", b"", 1) == samples.OUTLOOK


def test_nextcloud_mail_is_rewritten_and_its_body_is_not():
    data, composed = made(samples.NEXTCLOUD, "joerg@example.org")
    head, _, body = data.partition(b"\r\n\r\n")

    assert b"From: Nextcloud <relay@example.org>" in head
    assert b"Reply-To: Nextcloud <cloud@example.net>" in head
    assert b"Auto-Submitted: auto-generated" in head
    assert body == samples.NEXTCLOUD.partition(b"\r\n\r\n")[2]
    assert composed.header_size == len(head) + 4


def test_signed_mail_keeps_every_byte_below_the_headers():
    data, _ = made(samples.THUNDERBIRD_SIGNED, "john@example.org", "b@example.org")

    assert data.partition(b"\r\n\r\n")[2] == samples.THUNDERBIRD_SIGNED.partition(b"\r\n\r\n")[2]


def test_an_invitation_passes_byte_for_byte():
    assert made(samples.INVITE, "john@example.org")[0] == samples.INVITE


def test_the_printers_mail_becomes_what_graph_takes():
    data, composed = made(samples.PRINTER, "john@example.org")
    message = parsed(data)
    text, scan = message.iter_parts()

    assert is_clean(data)
    assert message["From"] == "relay@example.org"
    assert message["Reply-To"] == "scanner@example.org"
    assert message["To"] == "john@example.org"
    assert message["Subject"] == "Gescannt für Büro"
    assert message["Message-ID"] == MESSAGE_ID
    assert message["Date"].datetime == DATE
    assert message["MIME-Version"] == "1.0"
    assert (
        text.get_content() == "Grüße vom Drucker\r\n".replace("\r\n", "\n") or "Grüße" in text.get_content()
    )
    assert scan.get_filename() == "Scän.pdf"
    assert scan.get_payload(decode=True) == b"%PDF-1.4\n"
    assert len(composed.changes) >= 6


def test_a_list_post_goes_to_the_member_and_not_back_to_the_list():
    data, _ = made(samples.LIST_POST, "member@example.org")
    headers = HeaderBlock.parse(data)

    assert named_recipients(headers) == ["member@example.org"]
    assert headers.get("Return-Path") is None
    assert headers.get("DKIM-Signature") is None
    assert headers.get("Reply-To") == "Ann Lee <ann@example.net>"
    assert headers.get("List-Id") == "<list.lists.example.org>"


def test_mail_without_headers_gets_those_that_it_needs():
    data, _ = made(samples.NO_HEADERS, "a@example.org")
    head, _, body = data.partition(b"\r\n\r\n")

    assert body == samples.NO_HEADERS
    assert sorted(line.partition(b":")[0] for line in head.split(b"\r\n")) == [
        b"Bcc",
        b"Date",
        b"From",
        b"MIME-Version",
        b"Message-ID",
    ]


def test_an_empty_message_id_and_date_are_replaced():
    data, _ = made(b"Message-ID:\r\nDate: \r\n\r\n", "a@example.org")

    assert parsed(data)["Message-ID"] == MESSAGE_ID
    assert HeaderBlock.parse(data).get_all("Date") == ["Mon, 02 Nov 2026 08:15:30 +0000"]


def test_a_date_without_a_zone_is_utc():
    data, _ = made(b"\r\n", "a@example.org", date=DATE.replace(tzinfo=None))

    assert HeaderBlock.parse(data).get("Date") == "Mon, 02 Nov 2026 08:15:30 +0000"


@pytest.mark.parametrize("raw", [samples.OUTLOOK, samples.NEXTCLOUD, samples.LIST_POST])
def test_the_listener_knows_the_exact_size_from_the_headers_alone(raw):
    headers = HeaderBlock.parse(raw[:4096])
    compose_headers(
        headers,
        recipients=["x@example.org"],
        identity=IDENTITY,
        header_from="",
        message_id=MESSAGE_ID,
        date=DATE,
    )

    assert made(raw, "x@example.org")[1].size == len(headers.as_bytes()) + len(raw) - headers.body_offset


@pytest.mark.parametrize("name", samples.ALL)
def test_composing_twice_changes_nothing_more(name):
    data, _ = made(samples.ALL[name], "john@example.org", "b@example.org")

    again, composed = made(data, "john@example.org", "b@example.org")
    assert again == data
    assert composed.changes == ()


@pytest.mark.parametrize("name", samples.ALL)
def test_changes_name_nobody(name):
    _, composed = made(samples.ALL[name], "hidden@example.org")

    assert not any("@" in sentence for sentence in composed.changes)


def test_five_hundred_recipients_stay_within_the_header_limit():
    everyone = [f"somebody.with.a.rather.long.name.{n}@department.example.org" for n in range(500)]
    _, composed = made(samples.OUTLOOK, *everyone)

    assert composed.header_size < HEADER_LIMIT
    assert DIRECT_LIMIT * 4 // 3 == 4 * 1024 * 1024


def test_a_recipient_that_no_header_can_hold_is_refused():
    with pytest.raises(ValueError):
        made(samples.OUTLOOK, "a@example.org\r\nX: y")


RAW = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [
                b"From: a@x, b",
                b"To: \xe4 <a@x>",
                b"\r\n",
                b"\n",
                b"\r",
                b"\0",
                b"Content-Type: multipart/mixed; boundary=b",
                b"--b",
                b"--b--",
                b"Subject: \xff",
                b" ",
                b"Bcc: z@x",
                b"Content-Transfer-Encoding: 8bit",
                b"text",
                b"\xc3\xa4",
                b"Content-Type: text/plain",
                b"Reply-To: \xe4",
                b"Message-ID:",
                b"From: =?utf-8?Q?=40?= <q>",
            ]
        ),
        max_size=40,
    ).map(b"".join),
)


@settings(max_examples=400, deadline=None)
@given(RAW, st.sampled_from(FromPolicy))
def test_any_bytes_compose_to_a_clean_message_with_exactly_the_envelope(raw, policy):
    recipients = ("a@example.org", "b@example.org")
    data, composed = made(raw, *recipients, identity=Identity(policy, "relay@example.org"))
    headers = HeaderBlock.parse(data)

    assert is_clean(data[composed.header_size :])
    assert is_clean(data.decode().encode("ascii", "replace"))  # UTF-8 may stand in addresses
    assert headers.body_offset == composed.header_size
    assert len(headers.get_all("From")) == 1
    assert all(headers.get(name) for name in ("Message-ID", "Date"))
    assert set(map(normalise, named_recipients(headers))) == set(recipients)
    assert [decode_words(value) for value in HeaderBlock.parse(raw).get_all("Subject")] == [
        decode_words(value) for value in headers.get_all("Subject")
    ]
