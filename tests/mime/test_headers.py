import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.ascii import encode_fields
from mailrelay.mime.headers import HeaderBlock, decode_words, fields_end, make_field, storable
from mailrelay.mime.words import encode_words


def test_it_gives_untouched_fields_back_byte_for_byte():
    raw = b"Received: from x\r\n\tby y;  Mon\r\nsubject:no space\r\nX-Empty:\r\nX-T:  two \r\n\r\n"

    assert HeaderBlock.parse(raw + b"body").as_bytes() == raw


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
def test_it_takes_any_line_end(end):
    raw = end.join([b"A: 1", b" 2", b"B: 3", b"", b"body"])
    headers = HeaderBlock.parse(raw)

    assert headers.as_bytes().replace(b"1 \r\n", b"1\r\n") == b"A: 1\r\n 2\r\nB: 3\r\n\r\n"
    assert raw[headers.body_offset :] == b"body"


@pytest.mark.parametrize(
    ("raw", "names", "body"),
    [
        (b"", [], b""),
        (b"\r\nA: b\r\n", [], b"A: b\r\n"),
        (b"Hello\r\nA: b\r\n", [], b"Hello\r\nA: b\r\n"),
        (b"A: b\r\nHello: \r\nthere\r\n\r\nB: c", ["A", "Hello"], b"there\r\n\r\nB: c"),
        (b"A: b", ["A"], b""),
        (b"A: b\r\n", ["A"], b""),
        (b" A: b\r\nB: c\r\n\r\n", [], b" A: b\r\nB: c\r\n\r\n"),
        (b"From me@x Mon Jan 1\nA: b\n\nx", ["A"], b"x"),
        (b"From me@x Mon, Jan 1 00:00 remote from y\nA: b\n\nx", ["A"], b"x"),
        (b"From now on: all\nA: b\n\nx", [], b"From now on: all\nA: b\n\nx"),
        (b">From me@x Mon Jan 1\r\nA: b\r\n\r\nx", ["A"], b"x"),
        (
            b"From here on there is no header\r\nreally\r\n",
            [],
            b"From here on there is no header\r\nreally\r\n",
        ),
        (b"A : b\r\nC\t: d\r\n\r\n", ["A", "C"], b""),
        (b": empty name\r\n\r\n", [], b": empty name\r\n\r\n"),
        (b"A: b\n**81 C** in rack 4\n\n", ["A"], b"**81 C** in rack 4\n\n"),
        (b"A: b\r\n<html>hi</html>", ["A"], b"<html>hi</html>"),
        (b"A: b\r\n c\r\nVGhlIGJhc2U2NA==\r\n", ["A"], b"VGhlIGJhc2U2NA==\r\n"),
        (b"A: b\n \t\nword", ["A"], b"word"),
        (b"A: b\n" + b" c\n" * 2000 + b"B: d\n\nx", ["A", "B"], b"x"),
        (b"A: b\n" * 500 + b" c\n-- d", ["A"] * 500, b"-- d"),
    ],
)
def test_it_finds_where_the_headers_end(raw, names, body):
    headers = HeaderBlock.parse(raw)

    assert [field.name for field in headers.fields] == names
    assert raw[headers.body_offset :] == body


def test_lines_without_number_take_no_memory_of_their_own():
    raw = b"A: b\n" * 100_000 + b" c\n" * 100_000 + b"\nbody"

    tracemalloc.start()
    try:
        assert fields_end(raw) == (0, len(raw) - 5)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_bare_cr_or_nul_hides_no_field():
    headers = HeaderBlock.parse(b"Subject: x\rBcc: evil@example.org\0\r\n\r\n")

    assert headers.as_bytes() == b"Subject: x Bcc: evil@example.org \r\n\r\n"


def test_a_fold_of_spaces_alone_is_dropped_because_it_looks_like_the_end():
    assert HeaderBlock.parse(b"A: b\r\n \t\r\n c\r\n\r\n").as_bytes() == b"A: b\r\n c\r\n\r\n"


def test_values_are_unfolded_and_decoded():
    headers = HeaderBlock.parse("A:  1\r\n\t2 \r\nB: ä\r\n".encode() + b"C: \xe4\r\n\r\n")

    assert [field.value for field in headers.fields] == ["1\t2", "ä", "ä"]


def test_it_gets_removes_and_replaces_whatever_the_case():
    headers = HeaderBlock.parse(b"A: 1\r\nB: 2\r\na: 3\r\n\r\n")

    assert headers.get("a") == "1"
    assert headers.get_all("A") == ["1", "3"]
    headers.replace("A", "4")
    headers.append("C", "5")
    headers.prepend("D", "6")
    assert headers.remove("b", "x") == 1
    assert headers.as_bytes() == b"D: 6\r\nA: 4\r\nC: 5\r\n\r\n"
    assert headers.get("nothing") is None


@pytest.mark.parametrize("value", ["a\r\nBcc: x", "a\nb", "a\rb", "a\0", "a\r\n\r\nb", "\r\n"])
def test_no_value_injects_a_field(value):
    with pytest.raises(ValueError):
        make_field("X", value)


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "ä"])
def test_no_name_injects_a_field(name):
    with pytest.raises(ValueError):
        make_field(name, "x")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?Gr=C3=B6=C3=9Fe_1?=", "Größe 1"),
        ("=?ISO-8859-1?B?R3L232U=?= und", "Größe und"),
        ("a =?utf-8?b?w6Q=?= =?utf-8?q?=C3=B6?= b", "a äö b"),
        ("=?utf-8?B?w?= =?utf-8?B?6Q=?=", "=?utf-8?B?w?=é"),
        ("=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "ä"),
        ("=?x-nobody?Q?=C3=A4?=", "ä"),
        ("=?utf-8*de?Q?a?=", "a"),
        ("=?utf-8?Q?has space?=", "has space"),
        ("=?utf-8?X?a?= =?", "=?utf-8?X?a?= =?"),
        ("=?idna?Q?a?==?rot13?Q?a?=", "aa"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?iso-8859-8-i?Q?=F9=EC=E5=ED?=", "שלום"),
        ("=?windows-874?Q?=CA=C7?=", "สว"),
        ("=?windows-31j?B?k/qWew==?=", "日本"),
        ("=?utf-8?B?R3I=w7Y=w58=?=", "Größ"),
        ("=?utf-8?B?R3L=w7Y?=", "Grö"),
        ("=?utf-8?B?R3I= !w7Y=?=", "Grö"),
        ("=?utf-8?B?=?=", ""),
    ],
)
def test_it_decodes_words_as_readers_do(value, shown):
    assert decode_words(value) == shown


@settings(deadline=None)
@given(st.text(max_size=200))
def test_encoded_words_say_what_was_meant(text):
    words = encode_words(text)

    assert all(len(word) <= 75 and word.isascii() for word in words)
    assert decode_words(" ".join(words)) == text.encode("utf-8", "replace").decode()


def test_storable_text_has_no_nul_and_no_lone_surrogate():
    assert storable("a\0b\ud800c😀") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c😀"


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=50))
def test_storable_text_can_be_encoded(text):
    assert "\0" not in storable(text)
    storable(text).encode()


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text("AB: \t\r\n\0-=?ä", max_size=80).map(str.encode)))
def test_any_bytes_parse_to_a_block_that_parses_to_itself(raw):
    headers = HeaderBlock.parse(raw)
    made = headers.as_bytes()
    again = HeaderBlock.parse(made)

    assert 0 <= headers.body_offset <= len(raw)
    assert again.fields == headers.fields
    assert again.body_offset == len(made)
    for field in headers.fields:
        storable(decode_words(field.value)).encode()


def test_it_reads_a_memoryview_and_the_start_of_a_message():
    assert HeaderBlock.parse(memoryview(b"A: b\r\nC: dd\r\n\r\nbo")[:10]).get("C") == "d"


@pytest.mark.parametrize(
    ("raw", "encoded", "value"),
    [
        (b"Subject: Gr\xf6\xdfe", True, "Größe"),
        ("Subject: eins zwö drei".encode(), True, "eins zwö drei"),
        ("Subject: =?utf-8?Q?a?= ä".encode(), True, "a ä"),
        ("Sender: Jörg <j@example.org>".encode(), True, "Jörg <j@example.org>"),
        ("Reply-To: ä, ö".encode(), True, "ä, ö"),
        (("X: " + "ä" * 500).encode(), True, "ä" * 500),
    ],
)
def test_raw_8bit_header_text_is_encoded(raw, encoded, value):
    headers = HeaderBlock.parse(raw + b"\r\n\r\n")
    assert encode_fields(headers) == encoded

    assert headers.as_bytes().isascii()
    assert decode_words(headers.fields[0].value) == value
    assert max(map(len, headers.as_bytes().split(b"\r\n"))) <= 78
    assert encode_fields(headers) == 0


def test_utf8_addresses_stay_because_nothing_else_says_them():
    headers = HeaderBlock.parse("Sender: jörg@example.org\r\n\r\n".encode())

    assert encode_fields(headers) == 0
    assert headers.get("Sender") == "jörg@example.org"


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (
            "Reply-To: Équipe: a@x.org, Bé <c@x.org>;",
            "=?utf-8?B?w4lxdWlwZQ==?=: a@x.org, =?utf-8?B?QsOp?= <c@x.org>;",
        ),
        ("Reply-To: Équipe:;", "=?utf-8?B?w4lxdWlwZQ==?=:;"),
        ("Errors-To: a@x.org, Team: Bé <c@x.org>;", "a@x.org, Team: =?utf-8?B?QsOp?= <c@x.org>;"),
        ("Content-ID: <Bild_ä@x>", "<Bild_%C3%A4@x>"),
        ("References: <1@x>  <é@x>\r\n\t<2@x>", "<1@x>  <%C3%A9@x>\t<2@x>"),
        ("In-Reply-To: Message of Bé Cé <1@x>", "Message of =?utf-8?B?QsOpIEPDqQ==?= <1@x>"),
        (
            "List-Unsubscribe: <https://x.org/é?u=1%20>, <mailto:a@x.org>",
            "<https://x.org/%C3%A9?u=1%20>, <mailto:a@x.org>",
        ),
        ("List-Id: Équipe <équipe.x.org>", "=?utf-8?B?w4lxdWlwZQ==?= <%C3%A9quipe.x.org>"),
    ],
)
def test_structure_stays_where_no_encoded_word_may_stand(raw, written):
    headers = HeaderBlock.parse(f"{raw}\r\n\r\n".encode())
    encode_fields(headers)

    assert headers.fields[0].value == written
    assert written.isascii()
    assert encode_fields(headers) == 0


@settings(deadline=None)
@given(
    st.sampled_from(
        ["From", "Subject", "Content-Type", "Content-Disposition", "Reply-To", "References", "List-Help"]
    ),
    st.binary(max_size=80),
)
def test_encoding_fields_raises_nothing_and_keeps_their_number(name, value):
    headers = HeaderBlock.parse(name.encode() + b": " + value.replace(b"\n", b"") + b"\r\n\r\n")
    before = [field.name for field in headers.fields]
    encode_fields(headers)

    assert [field.name for field in HeaderBlock.parse(headers.as_bytes()).fields] == before
