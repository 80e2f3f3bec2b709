"""Every Python reads a mail the same, whatever changes in its standard library from version to version."""

import pytest

from mailrelay.address_forms import lower
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.decoding import codec_of
from mailrelay.mime.leaves import decoded_size
from mailrelay.mime.words import decode_words
from tests.mime.test_taking_apart import Bytes
from tests.project.files import files, imports, name_of


@pytest.mark.parametrize("capital", ["\U00010d50", "\ua7cb", "\u1e9e", "\u212a", "\u0130"])
def test_only_ascii_has_case(capital):
    assert lower(f"A{capital}") == f"a{capital}"
    assert parse_content_type(f"Text/X{capital}; N{capital}=v").parameters == {f"n{capital}": "v"}
    assert parse_content_type(f"Text/X{capital}").name == f"text/x{capital}"


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        ("QUI=QUI", "ABAB"),
        ("QQ=QQ", "AA"),
        ("QUI==QUI=", "ABAB"),
        ("QUJD=QUJD", "ABCABC"),
        ("QUJDRA====QQ", "ABCDA"),
    ],
)
def test_words_and_files_go_on_behind_padding(encoded, content):
    assert decode_words(f"=?utf-8?B?{encoded}?=") == content
    assert decoded_size(Bytes(encoded.encode()), 0, len(encoded), "base64") == len(content)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("ISO-8859-8-I", "iso8859_8"), ("windows-874", "cp874"), ("csEUCKR", "euc_kr"), ("IBM01140", "cp1140")],
)
def test_charsets_that_newer_versions_know_are_known(charset, codec):
    assert codec_of(charset) == codec
    assert b"a".decode(codec)


def test_the_standard_library_reads_and_guesses_nothing_of_a_mail():
    foreign = ("mimetypes", "email", "quopri", "uu", "base64.b64decode", "html.parser", "unicodedata")
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in files(".py", under=("mailrelay/mime",))
        for module in imports(path)
        if module.startswith(foreign) and module != "email.utils.format_datetime"
    ]

    assert not wrong
