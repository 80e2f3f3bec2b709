"""Whom a message names as its sender besides the author."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.agents import agents, tidy_agents
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import apply_identity, shown_agents
from mailrelay.vocabulary import FromPolicy
from tests.mime.test_identity import MAILBOX, block, identity


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Sender: Boss <boss@example.org>", "boss@example.org"),
        ("SENDER: boss@example.org", "boss@example.org"),
        ("Sender:\r\n\tboss@example.org", "boss@example.org"),
        ('Sender: "app@example.org" <boss@example.org>', "boss@example.org"),
        ("Sender: <@relay.example.org:boss@example.org>", "boss@example.org"),
        ("Resent-From: boss@example.org", "boss@example.org"),
        ("Resent-Sender: Boss <boss@example.org>", "boss@example.org"),
    ],
)
def test_they_are_found_however_they_are_written(line, named):
    assert [address for _, address in agents(block("From: app@example.org", line))] == [named]


def test_all_addresses_of_all_such_fields_count():
    headers = block("Sender: a@example.org, b@example.org", "Sender: c@example.org", "Resent-From: d@e.org")

    assert [address for _, address in agents(headers)] == [
        *("a@example.org", "b@example.org", "c@example.org", "d@e.org")
    ]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("Sender: boss@example.org <app@example.org>", "Sender: app@example.org"),
        ("Sender: App <app@example.org", "Sender: App <app@example.org>"),
        ("Sender: root", None),
        ("Sender:", None),
        ("Sender: Boss <boss>, app@example.org", "Sender: app@example.org"),
    ],
)
def test_what_readers_would_read_differently_is_written_as_it_was_checked(line, written):
    headers = block("From: app@example.org", line)

    changes = tidy_agents(headers)

    assert len(changes) == 1
    assert [field.raw.decode().strip() for field in headers.named("Sender")] == ([written] if written else [])


@pytest.mark.parametrize("policy", [FromPolicy.SEND_AS, FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX])
def test_a_sender_that_stays_is_shown(policy):
    headers = block("From: ann@example.net", "Sender: Bob <bob@example.net>")

    assert shown_agents(headers, identity(policy)) == [("Sender", "bob@example.net")]
    apply_identity(headers, identity(policy))
    assert headers.get("Sender") == "Bob <bob@example.net>"


def test_a_sender_that_rewrite_drops_is_not_shown():
    headers = block("From: ann@example.net", "Sender: bob@example.net")

    assert shown_agents(headers, identity()) == []
    apply_identity(headers, identity())
    assert headers.get("Sender") is None


@pytest.mark.parametrize("lines", [[f"From: {MAILBOX}"], ["Subject: no author"], ["From: Scanner 3"]])
def test_rewrite_shows_a_sender_beside_the_mailbox_itself(lines):
    headers = block(*lines, "Sender: bob@example.net")

    assert shown_agents(headers, identity()) == [("Sender", "bob@example.net")]
    apply_identity(headers, identity())
    assert headers.get("Sender") == "bob@example.net"


@given(
    st.sampled_from(list(FromPolicy)),
    st.lists(st.tuples(st.sampled_from(["Sender", "Resent-From", "From"]), st.text(max_size=60)), max_size=4),
)
def test_nobody_is_shown_who_was_not_named_before(policy, lines):
    raw = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("utf-8", "replace") + b"\r\n"
    headers = HeaderBlock.parse(raw)
    shown = {address for _, address in shown_agents(headers, identity(policy))}

    apply_identity(headers, identity(policy))

    left = headers.named("Sender", "Resent-From", "Resent-Sender")
    assert {mailbox.address for field in left for mailbox in parse_addresses(field.value)} <= shown
