"""Reading the header block: the quick way must agree with the library's."""

from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.head import PLAIN_LIST, decoded, read_addresses, read_head

WORDS = st.text(alphabet="abcÄ.'-_ ", max_size=8)
SPECS = st.from_regex(r"[a-z0-9+.'=-]{1,8}@[a-z0-9.-]{1,8}", fullmatch=True)
ONE = st.one_of(SPECS, st.builds("{} <{}>".format, WORDS, SPECS), st.builds("{}<{}>".format, WORDS, SPECS))


@settings(deadline=None)
@given(st.lists(ONE, min_size=1, max_size=4).map(", ".join))
def test_the_quick_way_finds_the_addresses_that_the_library_finds(value):
    assert [pair[1] for pair in read_addresses(value)] == [pair[1] for pair in getaddresses([value])]


@settings(deadline=None)
@given(st.text(alphabet='ab@.,<>():;"\\ \t[]', max_size=24))
def test_whatever_the_quick_way_takes_the_library_takes_alike(value):
    if PLAIN_LIST.fullmatch(value):
        assert [pair[1] for pair in read_addresses(value)] == [pair[1] for pair in getaddresses([value])]


def test_a_long_malformed_list_costs_no_more_than_its_length():
    value = "a " * 50_000 + "<a@b"
    assert read_addresses(value) == getaddresses([value])


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_folded_fields_are_unfolded(end):
    head = read_head(end.join([b"To: a@example.org,", b"\tb@example.org", b"Subject: s", b"", b"body"]))
    assert head.first("subject") == "s"
    assert [address for _, address in head.addresses("to")] == ["a@example.org", "b@example.org"]


def test_a_header_without_a_body_is_read_to_its_end():
    assert read_head(b"To: a@example.org\r\nSubject: s\r\n").first("subject") == "s"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"), ("=?nonsense?q?x?=", "=?nonsense?q?x?="), ("plain", "plain")],
)
def test_encoded_words_are_decoded_for_people(value, shown):
    assert decoded(value) == shown
