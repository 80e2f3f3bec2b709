"""Promise 2: exactly the envelope, nobody else, and the blind stay blind."""

import email
import email.policy
import inspect
from email.utils import getaddresses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailrelay.address_forms import normalise
from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.envelope import named_recipients, reconcile
from mailrelay.mime.headers import HeaderBlock, make_field


def block(*lines):
    return HeaderBlock.parse("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")


def named(headers, name):
    return [mailbox.address for value in headers.get_all(name) for mailbox in parse_addresses(value)]


def seen_by_us(headers):
    return {normalise(a) for name in ("To", "Cc", "Bcc") for a in named(headers, name)}


def seen_by_getaddresses(headers):
    message = email.message_from_string(headers.as_bytes().decode(), policy=email.policy.compat32)
    values = [
        value.replace("\r\n", "") for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])
    ]
    # Newer Pythons read nothing of a list in which anything is odd, unless they are told to.
    lenient = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}
    return {normalise(address) for _, address in getaddresses(values, **lenient) if address}


def seen_by_default_policy(headers):
    """The modern parser, told about UTF-8 as SMTPUTF8 mail is read."""
    message = email.message_from_string(headers.as_bytes().decode(), policy=email.policy.default)
    found = set()
    for name in ("To", "Cc", "Bcc"):
        for value in message.get_all(name, []):
            found |= {
                normalise(address.addr_spec) for address in value.addresses if address.addr_spec != "<>"
            }
    return found


def test_it_leaves_headers_that_name_the_envelope_byte_for_byte():
    headers = block('To: "Doe, John" <j@example.org>,', "\tb@example.org (Bea)", "CC: Team: c@example.org;")
    before = headers.as_bytes()

    changes = reconcile(headers, ["J@Example.org", "b@example.org", "c@example.org"])

    assert changes == []
    assert headers.as_bytes() == before


def test_it_keeps_the_bcc_recipient_blind():
    headers = block("From: a@example.org", "To: b@example.org", "Subject: x")

    changes = reconcile(headers, ["b@example.org", "secret@example.org"])

    assert headers.get_all("Bcc") == ["secret@example.org"]
    assert headers.as_bytes().count(b"secret") == 1
    assert changes == ["Bcc names the 1 recipients that To and Cc do not show."]


def test_it_takes_header_recipients_outside_the_envelope_out():
    headers = block('To: "B, b" <b@example.org>, =?utf-8?Q?D=C3=B6?= <d@example.org>', "Cc: e@example.org")

    reconcile(headers, ["d@example.org"])

    assert headers.as_bytes() == b"To: =?utf-8?Q?D=C3=B6?= <d@example.org>\r\n\r\n"


def test_it_replaces_every_incoming_bcc():
    headers = block(
        "To: b@example.org", "Bcc: x@example.org", "bcc: y@example.org, b@example.org", "Bcc : z@example.org"
    )

    reconcile(headers, ["b@example.org", "y@example.org"])

    assert headers.get_all("Bcc") == ["y@example.org"]
    assert b"x@" not in headers.as_bytes()
    assert b"z@" not in headers.as_bytes()


def test_it_keeps_the_order_of_the_envelope_and_drops_duplicates():
    headers = block("Subject: x")

    reconcile(headers, ["c@example.org", "a@example.org", "C@EXAMPLE.org", "b@example.org"])

    assert named(headers, "Bcc") == ["c@example.org", "a@example.org", "b@example.org"]


def test_it_empties_a_group_and_keeps_its_name():
    headers = block("To: Team: a@example.org, b@example.org;, c@example.org")

    reconcile(headers, ["c@example.org"])

    assert headers.get_all("To") == ["Team:;, c@example.org"]


def test_it_keeps_what_is_left_of_a_group():
    headers = block('To: "The Team": Ann <a@example.org>, b@example.org;')

    reconcile(headers, ["a@example.org"])

    assert headers.get_all("To") == ["The Team: Ann <a@example.org>;"]


def test_it_keeps_undisclosed_recipients():
    headers = block("To: undisclosed-recipients:;")

    reconcile(headers, ["a@example.org"])

    assert headers.as_bytes() == b"To: undisclosed-recipients:;\r\nBcc: a@example.org\r\n\r\n"


def test_it_drops_a_to_that_becomes_empty():
    headers = block("To: list@example.org", "Subject: post")

    reconcile(headers, ["member@example.org"])

    assert headers.named("To") == []
    assert headers.get_all("Bcc") == ["member@example.org"]


def test_it_joins_several_to_fields_because_readers_take_only_one():
    headers = block("To: a@example.org", "Subject: x", "To: b@example.org, c@example.org")

    reconcile(headers, ["a@example.org", "b@example.org"])

    assert headers.get_all("To") == ["a@example.org, b@example.org"]


def test_it_lets_resent_fields_route_nobody():
    headers = block(
        "To: a@example.org", "Resent-To: r@example.org", "Resent-Bcc: s@example.org", "resent-cc: t@x"
    )

    changes = reconcile(headers, ["a@example.org"])

    assert [f.name for f in headers.fields] == ["To", "X-Resent-To", "X-resent-cc"]
    assert headers.get("X-Resent-To") == "r@example.org"
    assert len(changes) == 2


def test_it_passes_utf8_local_parts():
    headers = block("To: Jörg <jörg@bücher.example>")

    reconcile(headers, ["jörg@bücher.example", "用户@例子.example"])

    assert seen_by_us(headers) == {"jörg@bücher.example", "用户@例子.example"}


@pytest.mark.parametrize(
    "recipient",
    [
        "a@x\r\nBcc: evil@x",
        "a@x\nb",
        "a\0@x",
        "a@x>",
        "a@x y",
        "@x",
        "a@",
        "",
        "a@x;",
        f"{'a' * 999}@x",
    ],
)
def test_it_refuses_a_recipient_that_could_inject(recipient):
    headers = block("To: a@example.org", "Bcc: z@example.org")
    before = headers.as_bytes()

    with pytest.raises(ValueError) as caught:
        reconcile(headers, ["ok@example.org", recipient])

    assert headers.as_bytes() == before
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "recipient",
    ["a b@example.org", "a@x, b@example.org", "a, evil@example.net,b@example.org", "x <y>@example.org"],
)
def test_it_quotes_a_local_part_with_specials(recipient):
    headers = block("Subject: x")

    reconcile(headers, [recipient])

    assert seen_by_us(headers) == seen_by_getaddresses(headers) == {normalise(recipient)}


def test_it_needs_a_recipient():
    with pytest.raises(ValueError):
        reconcile(block("To: a@example.org"), [])


def test_it_folds_a_thousand_blind_recipients():
    everyone = [f"somebody.with.a.long.name.{n}@department.example.org" for n in range(1000)]
    headers = block("To: a@example.org")

    reconcile(headers, everyone)

    assert named(headers, "Bcc") == everyone
    assert max(map(len, headers.as_bytes().split(b"\r\n"))) <= 76
    assert len(headers.as_bytes()) < 262_144
    assert seen_by_getaddresses(headers) == set(everyone)


@pytest.mark.parametrize("entry", ["<'b@example.org'>", "'b@example.org'", "Bo <\u201cb@example.org\u201d>"])
def test_quotes_around_an_address_are_no_part_of_it(entry):
    headers = block(f"To: {entry}, 'stranger@example.net'")
    reconcile(headers, ["b@example.org"])

    assert named(headers, "To") == ["b@example.org"]
    assert headers.get("Bcc") is None
    assert "'" not in headers.get("To")


def test_quotes_at_one_end_belong_to_the_address():
    assert parse_addresses("'b@example.org")[0].address == "'b@example.org"


def test_it_names_the_recipients_of_a_header_once():
    headers = block(
        "To: A@example.org, nobody", "Cc: G: a@example.org, b@example.org;", "Bcc: <c@example.org>"
    )

    assert named_recipients(headers) == ["A@example.org", "b@example.org", "c@example.org"]


LOCAL = st.text("abcxyzJ.-+_=!#'\"\\ ,<>()@:;[]äß用", min_size=1, max_size=12)
ADDRESS = st.builds(
    "{}@{}".format, LOCAL, st.sampled_from(["example.org", "Example.NET", "[192.0.2.1]", "bücher.example"])
)
SIMPLE = st.builds("{}@{}".format, st.text("abcd", min_size=1, max_size=2), st.just("example.org"))
NAME = st.one_of(
    st.just(""), st.text(max_size=20), st.sampled_from(["Ann", '"Doe, J"', "=?utf-8?Q?J=C3=B6?=", "a@b", '"'])
)
ENTRY = st.one_of(
    SIMPLE,
    st.builds("{} <{}>".format, NAME, st.one_of(SIMPLE, ADDRESS)),
    st.builds("{} ({})".format, SIMPLE, NAME),
    st.builds("{}: {};".format, st.sampled_from(["Team", '"The, team"', "", "a@b"]), SIMPLE),
    ADDRESS,
    st.text(max_size=10),
    st.text('<>"(),:;@\\ =?a', max_size=15),
)
VALUE = st.one_of(
    st.lists(ENTRY, max_size=6).map(", ".join),
    st.lists(ENTRY, max_size=4).map(",\r\n ".join),
    st.lists(ENTRY, max_size=4).map(";".join),
)
LINES = st.lists(
    st.tuples(st.sampled_from(["To", "Cc", "Bcc", "to", "Resent-To", "Subject"]), VALUE), max_size=6
)


def _usable(recipient):
    try:
        reconcile(HeaderBlock(), [recipient])
    except ValueError:
        return False
    return True


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, st.lists(st.one_of(SIMPLE, ADDRESS.filter(_usable)), min_size=1, max_size=5), st.booleans())
def test_every_parser_finds_exactly_the_envelope(lines, recipients, from_header):
    raw = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("utf-8", "surrogatepass")
    headers = HeaderBlock.parse(raw + b"\r\n")
    if from_header:
        recipients += named_recipients(headers)[:3]
    wanted = set(map(normalise, recipients))

    reconcile(headers, recipients)

    assert seen_by_us(headers) == wanted
    assert seen_by_getaddresses(headers) == wanted
    assert seen_by_default_policy(headers) == wanted
    assert reconcile(headers.copy(), recipients) == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.lists(SIMPLE, min_size=1, max_size=4))
def test_any_bytes_before_the_body_end_with_exactly_the_envelope(raw, recipients):
    headers = HeaderBlock.parse(b"To: a@example.org, " + raw)

    reconcile(headers, recipients)

    assert seen_by_us(HeaderBlock.parse(headers.as_bytes())) == set(map(normalise, recipients))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_no_recipient_injects_a_header(recipient):
    headers = HeaderBlock([make_field("Subject", "x")])
    try:
        reconcile(headers, [recipient])
    except ValueError:
        return
    assert [field.key for field in HeaderBlock.parse(headers.as_bytes()).fields] == ["bcc", "subject"]
