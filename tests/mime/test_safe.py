"""Promise 3: the mail that arrives is the mail that was sent, in a form that Graph reads."""

import email
import email.policy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrelay.mime.ascii import encode_fields
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.safe import CleanCheck, is_clean, make_safe


def safe(raw):
    headers = HeaderBlock.parse(raw)
    encode_fields(headers)
    pieces, changes = make_safe(raw, headers)
    return headers.as_bytes() + b"".join(pieces), changes


def crlf(text):
    return re.sub(rb"\r+\n|\r|\n", b"\r\n", text)


def leaves(raw):
    return [
        part
        for part in email.message_from_bytes(raw, policy=email.policy.default).walk()
        if not part.is_multipart()
    ]


def multipart(*parts, kind="mixed", boundary="=_b", headers=b""):
    sep = b"--" + boundary.encode()
    head = (
        f'MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary="{boundary}"\r\n'.encode() + headers
    )
    return head + b"\r\n" + b"".join(sep + b"\r\n" + part + b"\r\n" for part in parts) + sep + b"--\r\n"


@pytest.mark.parametrize("data", [b"", b"a\r\n", b"a\r\nb", memoryview(b"x\r\n\r\n")])
def test_clean_is_ascii_with_crlf(data):
    assert is_clean(data)


@pytest.mark.parametrize("data", [b"\xe4", b"a\nb", b"a\rb", b"\0", b"\r\r\n", b"\n\r", b"\r", b"\n"])
def test_everything_else_is_not_clean(data):
    assert not is_clean(data)


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"", b"\xe4", b"b\r\nc\r"]), max_size=8))
def test_chunks_are_clean_when_their_sum_is(chunks):
    check = CleanCheck()
    for chunk in chunks:
        check.feed(memoryview(chunk))

    assert check.clean == is_clean(b"".join(chunks))


def test_it_hands_a_clean_body_on_without_a_copy():
    raw = b"Subject: x\r\n\r\nbody\r\n"
    [piece], changes = make_safe(raw, HeaderBlock.parse(raw))

    assert piece.obj is raw
    assert changes == []


def test_it_ends_the_lines_of_ascii_text_with_crlf_and_changes_nothing_else():
    assert safe(b"Subject: x\n\none\ntwo\rthree\r\n")[0] == b"Subject: x\r\n\r\none\r\ntwo\r\nthree\r\n"


def test_it_encodes_8bit_text_and_keeps_its_charset():
    head = (
        b"Content-Type: text/plain; charset=iso-8859-15; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    made, _ = safe(head + b"\r\n\xa4 5\n")
    [leaf] = leaves(made)

    assert is_clean(made)
    assert leaf["Content-Transfer-Encoding"] == "base64"
    assert leaf["Content-Type"].params == {"charset": "iso-8859-15", "format": "flowed"}
    assert leaf.get_payload(decode=True) == b"\xa4 5\r\n"


@pytest.mark.parametrize(
    ("body", "charset"),
    [("Größe".encode(), "utf-8"), (b"Gr\xf6\xdfe", "iso-8859-1"), (b"\x84Gr\xf6\xdfe\x93", "windows-1252")],
)
@pytest.mark.parametrize(
    "head",
    [b"Subject: x\r\n", b"Content-Type: text/plain; charset=us-ascii\r\n", b"Content-Type: text/plain\r\n"],
)
def test_it_names_the_charset_of_unlabelled_text(head, body, charset):
    made, _ = safe(head + b"\r\n" + body)
    [leaf] = leaves(made)

    assert leaf.get_content_charset() == charset
    assert leaf["MIME-Version"] == "1.0"
    assert leaf.get_payload(decode=True) == body
    assert "Gr" in leaf.get_content()


CYRILLIC = "Привет".encode("windows-1251")


@pytest.mark.parametrize(
    ("kind", "body", "charset"),
    [
        ("text/html", b'<html><META charset="windows-1251"><p>' + CYRILLIC, "windows-1251"),
        (
            "text/html",
            b'<meta http-equiv="Content-Type" content="text/html; charset=KOI8-R">' + CYRILLIC,
            "koi8-r",
        ),
        ("text/html; charset=us-ascii", b"<meta charset=windows-1251>" + CYRILLIC, "windows-1251"),
        ("text/html", b'<?xml version="1.0" encoding="windows-1251"?>' + CYRILLIC, "windows-1251"),
        ("text/xml; name=x.xml", b"<?xml version='1.0' encoding='iso-8859-2'?><a>\xb3</a>", "iso-8859-2"),
        ("text/html", b"<meta charset=utf-16>\xe4", "iso-8859-1"),
        ("text/html", "<p>Grüße".encode(), "utf-8"),
        ("text/plain", b"<meta charset=koi8-r>\xe4", "iso-8859-1"),
        ("text/plain; charset*=us-ascii'en'iso-8859-2", b"\xb3", "iso-8859-2"),
        ("text/plain; charset*0=iso; charset*1=-8859-2", b"\xb3", "iso-8859-2"),
        ("text/plain; charset*=us-ascii", b"\xb3", "iso-8859-1"),
        ('text; charset="iso-8859-2"', b"\xb3", "iso-8859-2"),
    ],
)
def test_a_charset_that_is_declared_is_not_overwritten_by_a_guess(kind, body, charset):
    made, _ = safe(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    [leaf] = leaves(made)

    assert leaf.get_content_charset() == charset
    assert leaf.get_content_maintype() == "text"
    assert leaf.get_payload(decode=True) == body


def test_a_forgotten_semicolon_before_a_charset_hides_it_not():
    made, _ = safe(b"Content-Type: text/html charset=iso-8859-2\r\n\r\n\xb3")

    assert made.startswith(b"Content-Type: text/html charset=iso-8859-2\r\n")


def test_it_keeps_the_exact_bytes_of_what_is_not_text():
    data = bytes(range(256)) * 3
    raw = multipart(
        b"\r\nhello", b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + data
    )
    made, changes = safe(raw)

    assert is_clean(made)
    assert leaves(made)[1].get_payload(decode=True) == data
    assert changes == ["1 parts with 8-bit bytes, bare line ends or long lines were made safe."]


def test_it_leaves_clean_parts_byte_for_byte():
    quoted = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb=E4=\r\n"
    plain = b"X-Odd :  header\r\n\twith fold\r\n\r\n7bit text "
    made, _ = safe(multipart(quoted, plain, b"\r\n\xe4"))

    assert quoted in made
    assert plain in made


@pytest.mark.parametrize("charset", [b"utf-16", b"unicode"])
def test_it_does_not_touch_utf16_line_ends(charset):
    data = "Zeile\nzwei".encode("utf-16")
    made, _ = safe(
        b"Content-Type: text/plain; charset="
        + charset
        + b"\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + data
    )

    assert leaves(made)[0].get_payload(decode=True) == data


def test_it_does_not_encode_base64_twice():
    made, _ = safe(b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n")

    assert is_clean(made)
    assert leaves(made)[0].get_payload(decode=True) == b"hello"


def test_it_mends_the_line_ends_of_quoted_printable():
    head = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    made, _ = safe(head + b"soft=\nbreak =C3=A4\n")

    assert made.endswith(b"\r\n\r\nsoft=\r\nbreak =C3=A4\r\n")


def test_it_decodes_quoted_printable_with_8bit_bytes_in_it():
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    made, _ = safe(head + "soft=\r\nbreak =C3=A4ö\r\n".encode())

    assert leaves(made)[0].get_payload(decode=True).decode() == "softbreak äö\r\n"


@pytest.mark.parametrize("encoding", ["8-bit", "utf-8", "none", "8bit;"])
def test_an_unknown_encoding_is_a_devices_word_for_8bit(encoding):
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    made, _ = safe((head + "Größe").encode())

    assert leaves(made)[0].get_content() == "Größe"


@pytest.mark.parametrize("boundary", ["", "; boundary=other"])
def test_a_multipart_without_a_part_is_shown_as_text(boundary):
    raw = f"Content-Type: multipart/mixed{boundary}\r\n\r\n--x\r\n\r\nGröße\r\n--x--\r\n".encode()
    made, changes = safe(raw)
    [leaf] = leaves(made)

    assert leaf.get_content_type() == "text/plain"
    assert "Größe" in leaf.get_content()
    assert len(changes) == 1
    [within] = leaves(safe(multipart(raw.rstrip()))[0])
    assert "Größe" in within.get_content()


SIGNED = multipart(
    b"Content-Type: text/plain\n\nb\xe4\n",
    b"Content-Type: application/pkcs7-signature\r\n\r\nMII",
    kind="signed",
    boundary="s",
)


@pytest.mark.parametrize(
    "sealed",
    [
        SIGNED,
        SIGNED.replace(b"multipart/signed", b"multipart/encrypted"),
        b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n\x80\0\xff\n",
        b"Content-Type: application/x-pkcs7-mime\r\n\r\n\x80\0\xff\n",
    ],
)
def test_it_touches_nothing_in_signed_or_encrypted_parts(sealed):
    raw = multipart(b"\r\n\xe4", sealed, b"\r\nbare\nlf")
    made, changes = safe(raw)

    assert sealed in made
    assert "left with 8-bit" in changes[-1]
    assert not is_clean(made)
    body = HeaderBlock.parse(sealed).body_offset
    assert safe(sealed)[0].endswith(sealed[body:])


def test_it_encodes_the_leaves_of_an_embedded_message_and_not_the_message():
    inner = b"Subject: Gr\xf6\xdfe\r\nContent-Type: text/plain; charset=latin1\r\n\r\nb\xe4r"
    raw = multipart(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner)
    made, _ = safe(raw)
    outer = email.message_from_bytes(made, policy=email.policy.default)
    [attached] = outer.iter_parts()

    assert is_clean(made)
    assert attached["Content-Transfer-Encoding"] == "7bit"
    assert attached.get_content()["Subject"] == "Größe"
    assert attached.get_content().get_content() == "bär"


def test_an_embedded_message_with_an_mbox_line_keeps_its_structure():
    inner = multipart("Content-Type: text/plain; charset=utf-8\r\n\r\nGröße".encode(), boundary="in")
    mbox = b"From ann@example.org Mon Jan  1 00:00:00 2026\r\nSubject: order 17\r\n"
    made, _ = safe(multipart(b"Content-Type: message/rfc822\r\n\r\n" + mbox + inner))
    [attached] = email.message_from_bytes(made, policy=email.policy.default).iter_parts()
    [text] = attached.get_content().iter_parts()

    assert is_clean(made)
    assert attached.get_content()["Subject"] == "order 17"
    assert text.get_content() == "Größe"


def test_it_relabels_containers():
    raw = multipart(
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa4",
        headers=b"Content-Transfer-Encoding: 8bit\r\n",
    )

    assert email.message_from_bytes(safe(raw)[0])["Content-Transfer-Encoding"] == "7bit"


def test_it_does_not_say_7bit_around_8bit_that_it_may_not_touch():
    raw = multipart(SIGNED, headers=b"Content-Transfer-Encoding: 8bit\r\n")

    assert email.message_from_bytes(safe(raw)[0])["Content-Transfer-Encoding"] == "8bit"


def test_it_encodes_raw_file_names():
    raw = multipart('Content-Disposition: attachment; filename="Größe (1).pdf"\r\n\r\n%PDF'.encode())
    made, _ = safe(raw)

    assert is_clean(made)
    assert leaves(made)[0].get_filename() == "Größe (1).pdf"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("filename=Ä Rechnung März.pdf", "filename*=utf-8''%C3%84%20Rechnung%20M%C3%A4rz.pdf"),
        ("filename=\"ä b.pdf\"; filename*=UTF-8''%C3%A4%20b.pdf", "filename*=UTF-8''%C3%A4%20b.pdf"),
        (
            'filename="ä.pdf"; filename*0*=UTF-8\'\'%C3%A4; filename*1=".pdf"',
            "filename*0*=UTF-8''%C3%A4; filename*1=\".pdf\"",
        ),
        ('filename*0="ä b"; filename*1=".pdf"', "filename*=utf-8''%C3%A4%20b.pdf"),
        ("filename=\"a.pdf\"; filename*=UTF-8''ä.pdf", "filename*=utf-8''%C3%A4.pdf"),
        ('filename="a b.pdf"; x="ä"', "filename=\"a b.pdf\"; x*=utf-8''%C3%A4"),
    ],
)
def test_a_raw_file_name_is_said_once_and_whole(given, written):
    made, _ = safe(multipart(f"Content-Disposition: attachment; {given}\r\n\r\n%PDF".encode()))

    assert f"\r\nContent-Disposition: attachment; {written}\r\n" in made.decode().replace("\r\n ", " ")


def test_a_bare_cr_does_not_become_a_delimiter():
    raw = multipart(
        b"Content-Type: text/plain\r\n\r\nbefore\r--=_b\rContent-Type: text/html\r\rafter", b"\r\nlast"
    )
    made, _ = safe(raw)

    assert is_clean(made)
    assert [leaf.get_content_type() for leaf in leaves(made)] == ["text/plain", "text/plain"]
    assert b"before\r\n--=_b\r\n" in leaves(made)[0].get_payload(decode=True)


def test_inline_pgp_stays_as_it_is_when_it_is_clean():
    raw = multipart(b"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----", b"\r\n\xe4")

    assert b"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n" in safe(raw)[0]


def test_a_calendar_part_stays_byte_for_byte():
    part = (
        b"Content-Type: text/calendar; method=REPLY\r\n\r\nBEGIN:VCALENDAR\r\nATTENDEE:mailto:a@example.org"
    )

    assert part in safe(multipart(b"\r\n\xc3\xa4", part, kind="alternative"))[0]


LEAF = st.tuples(
    st.sampled_from(
        [
            "text/plain; charset=utf-8",
            "text/html; charset=iso-8859-1",
            "application/pdf",
            "image/png",
            "text/calendar",
        ]
    ),
    st.one_of(
        st.binary(max_size=200), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
    ),
)


def _tree(children):
    return st.tuples(
        st.sampled_from(["mixed", "alternative", "related"]), st.lists(children, min_size=1, max_size=4)
    )


def _render(tree, depth=0):
    kind, content = tree
    if isinstance(content, bytes):
        return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode() + content
    parts = [_render(child, depth + 1) for child in content]
    return multipart(*parts, kind=kind, boundary=f"=_boundary_of_{depth}")


def _contents(tree):
    kind, content = tree
    if isinstance(content, bytes):
        content = content.rstrip(b"\r")  # it belongs to the line end before the delimiter
        return [crlf(content) if kind.startswith("text") else content]
    return [leaf for child in content for leaf in _contents(child)]


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAF, _tree, max_leaves=8).filter(lambda tree: isinstance(tree[1], list)))
def test_every_leaf_arrives_as_it_was_sent(tree):
    raw = _render(tree)
    made, _ = safe(raw)

    assert is_clean(made)
    assert [leaf.get_payload(decode=True) for leaf in leaves(made)] == _contents(tree)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b"--b",
                b"--b--",
                b"--c",
                b"Content-Type: multipart/mixed; boundary=b",
                b"\xe4",
                b"\0",
                b"x",
                b"Content-Type: multipart/x; boundary=c",
                b"Content-Type: message/rfc822",
                b"Content-Transfer-Encoding: base64",
                b" ",
                b"Content-Type: text/plain",
                b"Content-Transfer-Encoding: quoted-printable",
                b"Content-Type: multipart/digest;boundary=c",
            ]
        ),
        max_size=60,
    ).map(b"".join)
)
def test_any_bytes_become_clean(raw):
    made, _ = safe(raw)

    assert is_clean(made)
    assert safe(made)[0] == made


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_it_raises_nothing(raw):
    assert is_clean(safe(raw)[0][HeaderBlock.parse(safe(raw)[0]).body_offset :])
