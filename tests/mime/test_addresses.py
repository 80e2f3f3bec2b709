import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.address_forms import normalise, same_address
from mailrelay.mime.addresses import (
    fold_list,
    format_address,
    format_mailbox,
    is_address,
    parse_addresses,
    read_list,
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a@x.org", [("", "a@x.org")]),
        ('"Doe, John" <j@x.org>, b@y', [("Doe, John", "j@x.org"), ("", "b@y")]),
        ("Doe, John <j@x.org>", [("Doe, John", "j@x.org")]),
        ("Team: a@x, B <b@y>; , c@z", [("", "a@x"), ("B", "b@y"), ("", "c@z")]),
        ("undisclosed-recipients:;", []),
        ("Undisclosed recipients: ;", []),
        ("a@x (John)", [("John", "a@x")]),
        ("(one (nested) comment) a@x", [("one (nested) comment", "a@x")]),
        ("<@r,@s:c@d>", [("", "c@d")]),
        ("joe@home <joe@x>", [("joe@home", "joe@x")]),
        ("p@x.org <p@x.org>", [("p@x.org", "p@x.org")]),
        ("=?utf-8?Q?Doe=2C_J=C3=B6?= <a@x>", [("Doe, Jö", "a@x")]),
        ("=?utf-8?Q?Doe, John?= <a@x>", [("Doe, John", "a@x")]),
        ('"=?utf-8?Q?J=C3=B6?=" <a@x>', [("Jö", "a@x")]),
        ('"unterminated <a@x>, b@y', [("unterminated", "a@x"), ("", "b@y")]),
        ("a @ x", [("", "a@x")]),
        ("a@x b@y; c@d", [("", "a@x"), ("", "b@y"), ("", "c@d")]),
        ("<<a@x>>", [("", "a@x")]),
        ("<mailto:a@x>, mailto:b@y", [("", "a@x"), ("", "b@y")]),
        ('"a b"@x', [("", '"a b"@x')]),
        ("((( a@x", [("", "a@x")]),
        ("a@x, , b@y,", [("", "a@x"), ("", "b@y")]),
        ('"p@x.org"', [("", "p@x.org")]),
        ("jörg@bücher.example", [("", "jörg@bücher.example")]),
        ("a@[IPv6:2001:db8::1]", [("", "a@[IPv6:2001:db8::1]")]),
        ("John j@x", [("John", "j@x")]),
        ("<a@x> <b@y>", [("", "a@x"), ("", "b@y")]),
        ("John\r\n\t<a@x>,\r\n b@y", [("John", "a@x"), ("", "b@y")]),
        (r'"a\"b\\" <q@x>', [('a"b\\', "q@x")]),
        ("", []),
        ("<>", []),
        (",,;", []),
    ],
)
def test_it_reads_lists_as_they_come(value, found):
    assert [(mailbox.display, mailbox.address) for mailbox in parse_addresses(value)] == found


def test_an_entry_without_an_address_is_told_by_is_address():
    [mailbox] = parse_addresses("Foo Bar")

    assert mailbox.address == "Foo Bar"
    assert not is_address(mailbox.address)


@pytest.mark.parametrize(
    "value",
    [
        "a@x",
        "A <a@x>",
        '"Doe, J" <a@x>, b@y (B b)',
        "T: a@x, B <b@y>;, c@z",
        "u:;",
        "John Q. Public <j@x>",
        "<a@x>",
    ],
)
def test_what_every_parser_reads_alike_is_tidy(value):
    assert read_list(value).tidy


@pytest.mark.parametrize(
    "value", ["a@x,", "a@x; b@y", "a@x b@y", "a@b <a@x>", "ä <a@x>", "<a@x", "a@x (b (c))", "x"]
)
def test_what_parsers_dispute_is_not_tidy(value):
    assert not read_list(value).tidy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.B@Example.ORG", "a.b@example.org"),
        ('"a"@x', "a@x"),
        ("a@x.", "a@x"),
        ("JöRG@x", "jörg@x"),
        (r'"\a b"@x', '"a b"@x'),
    ],
)
def test_spellings_of_one_mailbox_are_the_same(one, other):
    assert same_address(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@x", "b@x"),
        ("a@x", "a@y"),
        ("a+b@x", "a@x"),
        ("a.b@x", "ab@x"),
        (" a@x", "a@x"),
        ("\u212aarl@x", "karl@x"),
    ],
)
def test_different_mailboxes_are_not_the_same(one, other):
    assert not same_address(one, other)


@pytest.mark.parametrize(
    ("display", "written"),
    [
        ("", "a@x"),
        ("Ann Lee", "Ann Lee <a@x>"),
        ("Lee, Ann", '"Lee, Ann" <a@x>'),
        ('A "B" \\', r'"A \"B\" \\" <a@x>'),
        ("Jö", "=?utf-8?B?SsO2?= <a@x>"),
        ("=?odd", "=?utf-8?B?PT9vZGQ=?= <a@x>"),
        ("a\r\nBcc: evil@x", '"a Bcc: evil@x" <a@x>'),
        ("A@X", "a@x"),
        ("p@home", '"p@home" <a@x>'),
    ],
)
def test_it_writes_one_mailbox(display, written):
    assert format_mailbox(display, "a@x") == written


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("a@x", "a@x"),
        ("a b@x", '"a b"@x'),
        ("a..b@x", '"a..b"@x'),
        ('"a b"@x', '"a b"@x'),
        ("a@x.", "a@x"),
        ("root", "root"),
        ('a"b@x', r'"a\"b"@x'),
    ],
)
def test_it_quotes_a_local_part_only_where_it_must(address, written):
    assert format_address(address) == written
    assert same_address(address, written)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40), st.sampled_from(["a@x", "j.d@example.org", '"a,b"@x', "jörg@x"]))
def test_what_it_writes_it_reads(display, address):
    [mailbox] = parse_addresses(format_mailbox(display, address))

    assert mailbox.address == address


def test_lists_are_folded_between_entries():
    folded = fold_list("To", [f"somebody{n}@example.org" for n in range(9)])

    assert max(map(len, f"To: {folded}".split("\r\n"))) <= 76
    assert [m.address for m in parse_addresses(folded)] == [f"somebody{n}@example.org" for n in range(9)]


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.text(max_size=60), st.text('<>"(),:;@\\[] =?aB.\r\n\t', max_size=60)))
def test_any_text_is_read_without_an_error(value):
    listed = read_list(value)

    for mailbox in listed.mailboxes:
        assert mailbox.address
        assert not mailbox.strict or mailbox.raw in value
        normalise(mailbox.address)
