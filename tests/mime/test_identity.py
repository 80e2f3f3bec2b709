"""Who a message says it is from, and who Exchange will let it be from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.addresses import is_address, parse_addresses
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import (
    Identity,
    Refusal,
    apply_identity,
    author,
    refusal,
)
from mailrelay.vocabulary import FromPolicy

MAILBOX = "relay@example.org"


def block(*lines):
    return HeaderBlock.parse("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")


def identity(policy=FromPolicy.REWRITE, **more):
    return Identity(policy, MAILBOX, **more)


@pytest.mark.parametrize(
    ("lines", "addresses"),
    [
        ([], ()),
        (["From:"], ()),
        (["From: root"], ()),
        (["From: A <a@example.org>"], ("a@example.org",)),
        (["From: a@example.org, B <b@example.org>, A@example.org"], ("a@example.org", "b@example.org")),
        (["From: a@example.org", "from: b@example.org"], ("a@example.org", "b@example.org")),
        (["From: Scanner", "\t<scan@example.org>"], ("scan@example.org",)),
        (["From: MFP, 2nd floor <scan@example.org>"], ("scan@example.org",)),
        (["From: <@d>"], ()),
    ],
)
def test_it_reads_the_author(lines, addresses):
    assert author(block(*lines)).addresses == addresses


def test_rewrite_keeps_the_name_and_sends_replies_to_the_author():
    headers = block(
        'From: "Doe, Ann" <ann@example.net>', "Sender: x@example.net", "DKIM-Signature: v=1", "Subject: s"
    )

    changes = apply_identity(headers, identity())

    assert headers.get("From") == '"Doe, Ann" <relay@example.org>'
    assert headers.get("Reply-To") == '"Doe, Ann" <ann@example.net>'
    assert [field.name for field in headers.fields] == ["From", "Subject", "Reply-To"]
    assert changes == [
        "From was rewritten to the sender's mailbox.",
        "Reply-To was set to the original From.",
    ]


def test_rewrite_keeps_a_reply_to():
    headers = block("From: ann@example.net", "Reply-To: desk@example.net")
    apply_identity(headers, identity())

    assert headers.get_all("Reply-To") == ["desk@example.net"]


def test_rewrite_replaces_a_reply_to_without_an_address():
    headers = block("From: ann@example.net", "Reply-To: nobody")
    apply_identity(headers, identity())

    assert headers.get_all("Reply-To") == ["ann@example.net"]


@pytest.mark.parametrize("policy", FromPolicy)
def test_the_mailbox_itself_stays_byte_for_byte(policy):
    headers = block("From:  The Relay <Relay@Example.org>", "Sender: x@example.net", "DKIM-Signature: v=1")
    before = headers.as_bytes()

    assert refusal(headers, identity(policy)) is None
    assert apply_identity(headers, identity(policy)) == []
    assert headers.as_bytes() == before


@pytest.mark.parametrize("policy", FromPolicy)
def test_a_missing_from_is_added(policy):
    headers = block("Subject: s")

    assert refusal(headers, identity(policy)) is None
    assert apply_identity(headers, identity(policy)) == [
        "From was added, because the message had no author's address."
    ]
    assert headers.get_all("From") == [MAILBOX]
    assert headers.get("Reply-To") is None


def test_a_policy_may_come_as_text():
    assert identity("require").policy is FromPolicy.REQUIRE
    with pytest.raises(ValueError):
        identity("rewritten")


def test_a_name_without_an_address_is_kept():
    headers = block("From: Scanner 3")
    apply_identity(headers, identity())

    assert headers.get("From") == "Scanner 3 <relay@example.org>"


def test_send_as_leaves_the_author():
    headers = block("From: ann@example.net", "Sender: bob@example.net")
    before = headers.as_bytes()

    assert refusal(headers, identity(FromPolicy.SEND_AS)) is None
    assert apply_identity(headers, identity(FromPolicy.SEND_AS)) == []
    assert headers.as_bytes() == before


@pytest.mark.parametrize("policy", [FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX])
@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("ann@example.net", False),
        ("desk@example.com", True),
        ("any@listed.example", True),
        ("any@sub.listed.example", False),
    ],
)
def test_require_and_own_mailbox_take_only_what_is_listed(policy, address, allowed):
    who = identity(policy, addresses=frozenset({"Desk@example.com"}), domains=frozenset({"Listed.example"}))

    assert refusal(block(f"From: {address}"), who) == (None if allowed else Refusal.FROM_NOT_ALLOWED)


@pytest.mark.parametrize("policy", [FromPolicy.SEND_AS, FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX])
def test_the_author_that_was_decided_on_is_written_and_no_other(policy):
    headers = block("From: Boss <boss@example.com>", "From: The App <App@example.com.>")
    who = identity(policy, domains=frozenset({"example.com"}))

    assert refusal(headers, who, "app@example.com") is None
    apply_identity(headers, who, "app@example.com")

    assert headers.get_all("From") == ["The App <App@example.com>"]


def test_the_policy_is_asked_about_the_author_that_was_decided_on():
    headers = block("From: ann@example.com, bob@example.net")
    who = identity(FromPolicy.REQUIRE, domains=frozenset({"example.com"}))

    assert refusal(headers, who, "ann@example.com") is None
    assert refusal(headers, who, "bob@example.net") is Refusal.FROM_NOT_ALLOWED


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("multipart/signed; boundary=x", True),
        ("application/pkcs7-mime; smime-type=signed-data", True),
        ("application/x-pkcs7-mime", True),
        ("application/pkcs7-mime; smime-type=enveloped-data", False),
        ("multipart/mixed; boundary=x", False),
    ],
)
def test_signed_mail_is_not_rewritten(kind, refused):
    headers = block("From: ann@example.net", f"Content-Type: {kind}")

    assert (refusal(headers, identity()) is Refusal.SIGNED) == refused
    assert refusal(headers, identity(rewrite_signed=True)) is None
    assert refusal(headers, identity(FromPolicy.SEND_AS)) is None


def test_signed_mail_of_the_mailbox_itself_is_fine():
    assert (
        refusal(block(f"From: {MAILBOX}", "Content-Type: multipart/signed; boundary=x"), identity()) is None
    )


def test_of_several_authors_the_first_that_maps_is_chosen_and_none_is_lost():
    headers = block("From: A <a@example.net>, B <b@example.com>")
    who = identity(FromPolicy.REQUIRE, addresses=frozenset({"b@example.com"}))

    assert refusal(headers, who) is None
    apply_identity(headers, who)

    assert headers.get_all("From") == ["B <b@example.com>"]
    assert headers.get("Reply-To") == "A <a@example.net>, B <b@example.com>"


def test_several_authors_under_rewrite_all_get_the_reply():
    headers = block("From: A <a@example.net>", "From: b@example.net")
    apply_identity(headers, identity())

    assert headers.get_all("From") == ["A <relay@example.org>"]
    assert headers.get("Reply-To") == "A <a@example.net>, b@example.net"


@pytest.mark.parametrize("policy", FromPolicy)
def test_a_display_name_that_is_an_address_is_left_out(policy):
    """Graph answers ErrorSendAsDenied to it, and printers send it."""
    headers = block(f"From: {MAILBOX} <{MAILBOX}>")
    apply_identity(headers, identity(policy))

    assert headers.get("From") == MAILBOX


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FromPolicy),
    st.lists(st.tuples(st.sampled_from(["From", "Reply-To"]), st.text(max_size=40)), max_size=3),
)
def test_there_is_always_exactly_one_author_in_the_end(policy, lines):
    raw = "".join(f"{name}: a@example.net {value}\r\n" for name, value in lines).encode("utf-8", "replace")
    headers = HeaderBlock.parse(raw + b"\r\n")
    refusal(headers, identity(policy))
    apply_identity(headers, identity(policy))
    [value] = headers.get_all("From")

    assert [is_address(mailbox.address) for mailbox in parse_addresses(value)] == [True]
    if policy is FromPolicy.REWRITE:
        assert author(headers).addresses == (MAILBOX,)


WRAPPED = {
    "=?utf-8?B?SsO2cmcgPHNob3BAZXhhbXBsZS5jb20+?=": ("Jörg", "shop@example.com"),
    "=?utf-8?Q?J=C3=B6rg=2C_Shop?= =?utf-8?Q?_=3Cshop=40example=2Ecom=3E?=": (
        "Jörg, Shop",
        "shop@example.com",
    ),
    "<=?utf-8?Q?shop=40example.com?=>": ("", "shop@example.com"),
    "<'eva@example.com'>": ("", "eva@example.com"),
    "'eva@example.com'": ("", "eva@example.com"),
    "Eva <\u201ceva@example.com\u201d>": ("Eva", "eva@example.com"),
    '<"eva@example.com">': ("", "eva@example.com"),
    '"Scanner <scan@x.org>"': ("Scanner", "scan@x.org"),
    '"Scanner, 2nd floor <scan@x.org>"': ("Scanner, 2nd floor", "scan@x.org"),
    "Scanner [scan@x.org]": ("Scanner", "scan@x.org"),
    "Scanner (scan@x.org)": ("Scanner", "scan@x.org"),
    "Scanner {scan@x.org}": ("Scanner", "scan@x.org"),
    "[scan@x.org]": ("", "scan@x.org"),
    "Scanner &lt;scan@x.org&gt;": ("Scanner", "scan@x.org"),
}


@pytest.mark.parametrize(("value", "found"), WRAPPED.items())
def test_an_author_in_odd_wrapping_keeps_address_and_name(value, found):
    headers = block(f"From: {value}")
    name, address = found

    assert author(headers).addresses == (address,)
    apply_identity(headers, identity())
    [reply_to], [sender] = (parse_addresses(headers.get(field)) for field in ("Reply-To", "From"))
    assert (reply_to.display, reply_to.address, sender.address) == (name, address, MAILBOX)
    assert sender.display == name


@pytest.mark.parametrize("value", WRAPPED)
def test_an_author_in_odd_wrapping_is_the_author_whom_policies_judge(value):
    headers, policy = block(f"From: {value}"), identity(FromPolicy.REQUIRE)

    assert refusal(headers, policy) is Refusal.FROM_NOT_ALLOWED
    served = identity(FromPolicy.SEND_AS)
    apply_identity(headers, served)
    assert parse_addresses(headers.get("From"))[0].address == WRAPPED[value][1]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("root@(none)", "root"),
        ("Cron Daemon <root@(none)>", "Cron Daemon"),
        ("=?utf-8?B?RHJ1Y2tlciAy?=", "Drucker 2"),
        ('"Room [4] <2nd floor>"', "Room [4] <2nd floor>"),
        ("John (see john@old.org or jane@old.org)", "John"),
        ("John (see john@old.org)", "John"),
    ],
)
def test_an_author_without_an_address_has_a_readable_name(value, name):
    headers = block(f"From: {value}")

    assert author(headers).addresses == ()
    apply_identity(headers, identity())
    [sender] = parse_addresses(headers.get("From"))
    assert sender.address == MAILBOX
    assert sender.display in {name, ""}
    assert sender.display == name or "@" in name


def test_a_well_formed_author_wins_over_one_in_odd_wrapping():
    headers = block('From: "Boss <boss@example.com>" <real@example.net>, "Other <other@example.com>"')

    assert author(headers).addresses == ("real@example.net",)


@pytest.mark.parametrize("value", ["<'desk@example.net'>", '"Desk <desk@example.net>"', "desk@example.net,"])
def test_a_reply_to_in_odd_wrapping_is_written_so_that_every_reader_finds_it(value):
    headers = block("From: ann@example.net", f"Reply-To: {value}")
    apply_identity(headers, identity())

    [found] = parse_addresses(headers.get("Reply-To"))
    assert (found.address, found.strict) == ("desk@example.net", True)
