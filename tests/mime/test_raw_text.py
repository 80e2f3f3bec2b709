"""Raw 8-bit header fields and file names are read in the charset that the mail declares."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

from mailrelay.mime.compose import Composed, compose
from mailrelay.mime.filename import filename
from mailrelay.mime.headers import HeaderBlock, decode_words
from mailrelay.mime.identity import Identity
from mailrelay.mime.opening import OPENING, read_top
from mailrelay.mime.parts import index_source
from mailrelay.mime.skeleton import take_apart
from mailrelay.mime.source import InMemory, Windowed
from mailrelay.vocabulary import FromPolicy
from tests.harness.linear import assert_linear
from tests.mime.test_taking_apart import Bytes, as_is

MIXED = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
TEXTS = {
    "gb2312": "报告文件",
    "gbk": "報告",
    "windows-1251": "Отчёт за июнь",
    "koi8-r": "Отчёт",
    "koi8-u": "Звіт їжак",
    "iso-8859-2": "Žluťoučký kůň",
    "windows-1250": "Příloha – dokument",
    "shift_jis": "日本語の表",
    "iso-8859-15": "Preis 5 €",
    "euc-kr": "한국어 보고서",
    "big5": "繁體中文",
    "cp874": "รายงาน",
    "utf-8": "Grüße 日本",
}


def subject(raw):
    return decode_words(read_top(raw).get("Subject"))


def sent(raw):
    made = compose(
        raw,
        recipients=["b@example.org"],
        identity=Identity(FromPolicy.REWRITE, "relay@example.org"),
        header_from="",
        message_id="<made@example.org>",
        date=datetime(2026, 11, 30, tzinfo=UTC),
    )
    return email.message_from_bytes(b"".join(made.parts), policy=email.policy.default)


@pytest.mark.parametrize(("charset", "text"), TEXTS.items(), ids=TEXTS.keys())
def test_a_subject_is_in_the_charset_of_the_top_content_type(charset, text):
    raw = f"Subject: {text}\r\nContent-Type: text/plain; charset={charset}\r\n\r\n{text}".encode(charset)
    made = sent(raw)

    assert subject(raw) == text
    assert made["Subject"] == text
    assert made.get_content() == text


@pytest.mark.parametrize(("charset", "text"), TEXTS.items(), ids=TEXTS.keys())
def test_names_and_files_of_a_multipart_are_in_the_charset_of_its_first_text(charset, text):
    raw = (
        f"From: {text} <eva@example.com>\r\nSubject: {text}\r\n{MIXED}Content-Type: image/png\r\n\r\nx\r\n"
        f"--b\r\nContent-Type: text/html; charset={charset}\r\n\r\n{text}\r\n"
        f'--b\r\nContent-Type: application/pdf; name="{text}.pdf"\r\n\r\nx\r\n'
        f'--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="{text} 2.pdf"'
        "\r\n\r\nx\r\n--b--\r\n"
    ).encode(charset)
    made = sent(raw)

    assert made["Subject"] == text
    assert made["Reply-To"].addresses[0].display_name == text
    assert [part.get_filename() for part in made.iter_parts()][2:] == [f"{text}.pdf", f"{text} 2.pdf"]


def test_utf_8_is_utf_8_whatever_is_declared():
    raw = "Subject: Grüße\r\nContent-Type: text/plain; charset=windows-1251\r\n\r\nx".encode()

    assert subject(raw) == "Grüße"


@pytest.mark.parametrize(
    ("text", "charset", "read"),
    [
        ("Grüße".encode("latin-1"), "us-ascii", "Grüße"),
        ("“Grüße”".encode("cp1252"), "", "“Grüße”"),
        ("“Grüße”".encode("cp1252"), "iso-8859-1", "“Grüße”"),
        ("Grüße".encode("latin-1"), "utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "no-such-charset", "Grüße"),
        ("Grüße".encode("latin-1"), "utf-16", "Grüße"),
        ("Отчёт".encode("cp1251"), "cp-1251", "Отчёт"),
        ("Отчёт".encode("cp1251"), "x-windows-1251", "Отчёт"),
        ("日本".encode("shift_jis"), "x-sjis", "日本"),
        ("報告".encode("gbk"), "gb2312", "報告"),
    ],
)
def test_a_charset_that_tells_nothing_leaves_it_to_what_the_bytes_look_like(text, charset, read):
    raw = b"Subject: " + text + f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\nx".encode()

    assert subject(raw) == read


@pytest.mark.parametrize("charset", ["cp037", "cp500", "utf-7", "utf-16", "utf-32", "hz-gb-2312"])
def test_no_charset_makes_a_header_field_where_none_is(charset):
    hidden = "\r\nBcc: evil@example.net".encode("cp037")
    raw = b"Subject: \xe4" + hidden.replace(b"\r", b"").replace(b"\n", b"") + b" +AA0ACg-Bcc: x\x25\x15\x85"
    headers = read_top(raw + f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\nx".encode())

    assert [field.key for field in headers.fields] == ["subject", "content-type"]
    assert headers.as_bytes().count(b"\n") == 3


def test_html_that_declares_its_charset_within_tells_it_for_the_subject():
    raw = ("Subject: Отчёт\r\nContent-Type: text/html\r\n\r\n<meta charset=windows-1251><p>Отчёт").encode(
        "windows-1251"
    )

    assert subject(raw) == sent(raw)["Subject"] == "Отчёт"


def test_a_backslash_within_a_character_ends_no_name():
    """The second byte of 表 in Shift_JIS is a backslash."""
    raw = (
        f"{MIXED}Content-Type: text/plain; charset=shift_jis\r\n\r\nx\r\n"
        '--b\r\nContent-Type: application/pdf; name="C:\\図\\価格表.pdf"\r\n\r\nx\r\n--b--\r\n'
    ).encode("shift_jis")
    for source in (InMemory(raw), Windowed(Bytes(raw))):
        *_, part = index_source(source)
        assert filename(source.part_headers(part.header_start), part.content_type) == "価格表.pdf"


def test_a_file_that_travels_apart_has_its_name_in_the_charset_of_the_mail():
    raw = (
        f"Subject: Отчёт\r\n{MIXED}Content-Type: text/plain; charset=windows-1251\r\n\r\nx\r\n"
        "--b\r\nContent-Type: application/pdf\r\n"
        "Content-Disposition: attachment; filename=C:\\скан\\Отчёт 1.pdf\r\n\r\n"
    ).encode("windows-1251")
    raw += b"x" * 200_000 + b"\r\n--b--\r\n"
    skeleton = take_apart(Bytes(raw), 100_000, as_is)

    assert [leaf.name for leaf in skeleton.leaves] == ["Отчёт 1.pdf"]


@pytest.mark.parametrize("top", ["", MIXED])
def test_a_text_that_travels_apart_leaves_its_charset_to_the_header_and_names(top):
    raw = f"Subject: Отчёт\r\n{top}Content-Type: text/plain; charset=windows-1251\r\n\r\n".encode("cp1251")
    raw += "текст ".encode("cp1251") * 30_000
    if top:
        raw += (
            b"\r\n--b\r\nContent-Type: image/png; name=" + "скан.png".encode("cp1251") + b"\r\n\r\nx\r\n--b--"
        )
    skeleton = take_apart(Bytes(raw), 100_000, lambda left: Composed((left,), len(left), 0, ()))
    made = sent(skeleton.mail.parts[0])

    assert len(skeleton.leaves) == 1
    assert made["Subject"] == "Отчёт"
    assert [part.get_filename() for part in made.walk()][2:] == (["скан.png"] if top else [])


def test_a_part_in_a_charset_of_its_own_has_its_name_in_it():
    raw = (
        MIXED.encode() + b"Content-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: text/csv; charset=windows-1251; name="
        + "отчёт.csv".encode("cp1251")
        + b"\r\n\r\nx\r\n--b--\r\n"
    )

    assert [part.get_filename() for part in sent(raw).iter_parts()][1] == "отчёт.csv"


def test_addresses_of_people_are_read_in_the_charset_as_well():
    raw = (
        'To: "Петров" <b@example.org>, Иванов <c@example.org>\r\n'
        "Content-Type: text/plain; charset=koi8-r\r\n\r\nx"
    ).encode("koi8-r")

    assert [person.display_name for person in sent(raw)["To"].addresses] == ["Петров"]


@pytest.mark.parametrize("before", [0, OPENING - 1000, OPENING + 10])
def test_the_first_text_is_looked_for_in_the_opening_alone(before):
    raw = (
        b"Subject: \xc0\xc1\r\n"
        + MIXED.encode()
        + b"Content-Type: image/png\r\n\r\n"
        + b"x" * before
        + b"\r\n--b\r\nContent-Type: text/plain; charset=windows-1251\r\n\r\nx\r\n--b--"
    )

    assert subject(raw) == ("АБ" if before < OPENING else "ÀÁ")


def test_many_raw_fields_take_time_in_proportion():
    head = b"Content-Type: text/plain; charset=big5" + b"; a=b" * 5_000 + b"\r\n"

    assert_linear(HeaderBlock.parse, lambda n: head + b"X-A: \xe4\xff b\r\n" * (n * 1_000) + b"\r\n")


ESCAPED = {
    "iso-2022-jp": "日本語の件名",
    "iso-2022-jp-1": "日本語〜",
    "": "請求書 No. 12",
}


@pytest.mark.parametrize(("charset", "text"), ESCAPED.items())
def test_raw_escape_sequences_are_read_in_the_declared_charset_or_as_japanese(charset, text):
    codec = charset or "iso-2022-jp"
    kind = f"Content-Type: text/plain; charset={charset}\r\n" if charset else ""
    raw = f"Subject: {text}\r\nFrom: {text} <eva@example.com>\r\n{kind}\r\nx".encode(codec)
    made = sent(raw)

    assert b"\x1b" in raw
    assert subject(raw) == text
    assert made["Subject"] == text
    assert made["Reply-To"].addresses[0].display_name == text


@pytest.mark.parametrize("odd", [b"a\x1bb", b"\x1b[31mred\x1b[0m", b"\x1b$B\x7f\x7f", b"\x1b"])
def test_an_escape_that_begins_no_charset_stays(odd):
    headers = HeaderBlock.parse(b"Subject: " + odd + b"\r\nTo: b@example.org\r\n\r\nx")

    assert headers.fields[0].raw == b"Subject: " + odd + b"\r\n"
