"""Mail and pieces of mail as programs make them, and as they break them: the same everywhere for one seed.

Only `random` and `getrandbits` of the generator are used, whose numbers no version of Python changes.
"""

import base64
import binascii
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b"\r")
NAMES = tuple(
    b"From To Cc Bcc Subject Sender Reply-To Date Message-ID References In-Reply-To MIME-Version Received "
    b"Return-Path Resent-From Resent-To Resent-Bcc X-Priority Importance Comments List-Id Content-ID "
    b"Disposition-Notification-To X-Mailer x a Content-Language".split()
)
CHARSETS = (
    "utf-8",
    "us-ascii",
    "iso-8859-1",
    "iso-8859-15",
    "windows-1252",
    "windows-1250",
    "koi8-r",
    "gb2312",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
    "iso-2022-jp",
    "shift_jis",
    "euc-jp",
    "utf-7",
    "utf-16",
    "utf-16le",
    "utf-32",
    "iso-8859-8-i",
    "windows-1255",
    "cp437",
    "cp65001",
    "macintosh",
    "iso-2022-kr",
    "hz-gb-2312",
    "tis-620",
    "viscii",
    "x-unknown",
    "unicode-1-1-utf-7",
    "ansi_x3.4-1968",
    "utf8",
    "latin1",
    "cp932",
    "hex",
    "rot13",
    "idna",
    "kz1048",
    "cp1125",
    "mac-arabic",
    "johab",
)
TYPES = (
    "text/plain",
    "text/html",
    "text/calendar",
    "text/xml",
    "application/pdf",
    "application/octet-stream",
    "image/png",
    "image/jpeg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "audio/wav",
    "audio/mpeg",
    "video/mp4",
    "application/zip",
    "application/json",
    "application/x-pkcs7-mime",
    "text/csv",
    "text",
    "text/",
    "application/ms-tnef",
    "image/webp",
    "font/woff2",
    "application/rtf",
    "text/markdown",
    "message/delivery-status",
    "text/rtf",
    "image/svg+xml",
    "image/tiff",
    "application/vnd.ms-excel",
    "application/x-sh",
    "text/x-python",
)
PEOPLE = (
    "ann@example.org", "Ann <ann@example.org>", '"Doe, John" <john@example.net>', "Doe, John <j@example.org>",
    "<a@example.org>", "Team: a@example.org, Bo <b@example.org>;", "undisclosed-recipients:;",
    "=?utf-8?Q?J=C3=B6rg?= <joerg@example.org>", "c@example.org (C. Person)", '"a b"@example.org',
    "a@[192.0.2.1]", "<@relay,@other:d@example.org>", "jörg@bücher.example", "Foo Bar", "a @ example . org",
    "<<e@example.org>>", "mailto:f@example.org", '"unterminated <g@example.org>', "h@example.org.",
    "i@k@example.org",
    "'l' <'m@example.org'>", r'"q\"r\\" <s@example.org>', "((t) u) v@example.org",
    "=?utf-8?Q?Doe, J?= <w@example.org>",
    "\u212aelvin@example.org", "\U00010d50 <x@example.org>", "x\u2028y@example.org", "A\xa0B <y@example.org>",
)  # fmt: skip
WORDS = (
    "Report", "Übersicht", "日本語", "81 C**", "<html>", "=?", "?=", "\x85", "\xa0", "\u2003",
    "\U00010d50", "\ua7cb", "\u01c5", "\xdf", "\u0130", "\x00", "\x1f", "\x7f", "\ufeff", "e\u0301",
    "--b", "From x", ";", '"', "\\", "(", ")", "<", ">", ",", ":", "@", "[",
)  # fmt: skip


class Source:
    """Choices from a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing is kept secret here

    def below(self, limit: int) -> int:
        return int(self._random.random() * limit)

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def one(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def some(self, make: Callable[[], T], most: int) -> list[T]:
        return [make() for _ in range(self.below(most + 1))]

    def data(self, most: int) -> bytes:
        length = self.below(most + 1)
        return self._random.getrandbits(8 * length).to_bytes(length, "big") if length else b""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round reads: a message, and the values that fields of it could have."""

    message: bytes
    text: str
    addresses: str
    content_type: str
    calendar: str
    recipients: tuple[str, ...]


def sample(number: int, seed: int) -> Sample:
    """Make the sample of that number."""
    source = Source(f"{seed}/{number}")
    return Sample(
        message=broken(source, message(source, depth=3)),
        text=text(source),
        addresses=broken_text(source, addresses(source)),
        content_type=broken_text(source, content_type(source, "b")),
        calendar=broken_text(source, calendar(source)),
        recipients=tuple(source.some(lambda: f"r{source.below(9)}@example.org", 3)) or ("r@example.org",),
    )


def message(source: Source, depth: int) -> bytes:
    """Make a header, a blank line and a body, which may have parts."""
    end = source.one(ENDS[:5])
    head = b"".join(field(source, end) for _ in range(source.below(8)))
    if source.chance(0.1):
        head = (
            source.one((b"From x Mon Jan 1 00:00:00 2026\n", b">From a@b  Tue, Feb 2\r\n", b"From now on\n"))
            + head
        )
    blank = b"" if source.chance(0.1) else end
    return head + entity(source, end, depth, blank)


def field(source: Source, end: bytes) -> bytes:
    """Make one field, folded or not."""
    name = source.one(NAMES)
    kind = source.below(4)
    value = addresses(source) if name[:1] in b"FTCBSR" and kind else text(source)
    if source.chance(0.3):
        value = value.replace(" ", end.decode() + source.one((" ", "\t", "  ", " \t\t")))
    if source.chance(0.05):
        value += end.decode() + source.one((" ", "\t", " \t"))
    colon = source.one((b": ", b":", b" : ", b"\t:", b":  "))
    return name + colon + encoded(source, value) + end


def encoded(source: Source, value: str) -> bytes:
    """Give bytes of `value` as a program might have, whatever it calls them."""
    codec = source.one(("utf-8", "utf-8", "latin-1", "cp1252", "gbk", "ascii"))
    return value.encode(codec, "replace" if codec != "utf-8" else "surrogatepass")


def text(source: Source) -> str:
    """Make words, some of them encoded (RFC 2047)."""
    return source.one((" ", " ", "", "\t", "  ")).join(source.some(lambda: word(source), 8))


def word(source: Source) -> str:
    if source.chance(0.6):
        return source.one(WORDS)
    charset = source.one(CHARSETS)
    data = source.data(24) if source.chance(0.5) else source.one(WORDS).encode("utf-8", "replace")
    if source.chance(0.5):
        content = base64.b64encode(data).decode()
        content = content[: source.below(len(content) + 1)] if source.chance(0.2) else content
    else:
        content = "".join(
            f"={byte:02X}" if byte > 126 or byte < 33 or byte in b"?=_" else chr(byte) for byte in data
        )
    content += source.one(("", "", "", "=", "==", "===", "=A", "AA=AA", " ", "_", "=4", "!"))
    return f"=?{charset}{source.one(('', '', '*en'))}?{source.one('bBqQ')}?{content}?="


def addresses(source: Source) -> str:
    """Make an address list."""
    entries = source.some(
        lambda: source.one(PEOPLE) if source.chance(0.8) else f"{text(source)} <z@example.org>", 6
    )
    return source.one((", ", ",", "; ", " ", ",\t", ", , ")).join(entries)


def content_type(source: Source, boundary: str) -> str:
    """Make a Content-Type with parameters, plain, quoted, continued and extended (RFC 2231)."""
    kind = source.one(TYPES)
    if source.chance(0.2):
        kind = f"multipart/{source.one(('mixed', 'alternative', 'related', 'signed'))}; boundary={boundary}"
    return kind + "".join(source.some(lambda: parameter(source), 4))


def parameter(source: Source) -> str:
    name = source.one(("name", "filename", "charset", "format", "NAME", "boundary", "smime-type", "x"))
    star = source.one(("", "", "", "*", "*0", "*0*", "*1", "*1*", "*2*", "*00"))
    value = source.one(
        (source.one(CHARSETS), text(source), "report.pdf", "utf-8''%E2%82%AC%zz", "a b", "enveloped-data")
    )
    quoted = f'"{value}"' if source.chance(0.6) else value
    return f"{source.one((';', '; ', ' ; ', ' '))}{name}{star}{source.one(('=', ' = ', '=', ''))}{quoted}"


def entity(source: Source, end: bytes, depth: int, blank: bytes | None = None) -> bytes:
    """Make the fields that say what a body is, a blank line and that body."""
    blank = end if blank is None else blank
    if depth and source.chance(0.45):
        return multipart(source, end, depth, blank)
    if depth and source.chance(0.1):
        kind = source.one((b"message/rfc822", b"message/global", b"Message/RFC822; name=x"))
        return b"Content-Type: " + kind + end + blank + message(source, depth - 1)
    head = b"Content-Type: " + encoded(source, content_type(source, "b")) + end if source.chance(0.8) else b""
    if source.chance(0.4):
        shown = source.one(("attachment", "inline", "Attachment", ""))
        head += (
            b"Content-Disposition: "
            + encoded(source, shown + "".join(source.some(lambda: parameter(source), 3)))
            + end
        )
    encoding, body = content(source, end)
    if encoding:
        head += b"Content-Transfer-Encoding: " + encoding + end
    return head + blank + body


def calendar(source: Source) -> str:
    """Make an invitation (RFC 5545), folded and spelt as programs do."""
    person = source.one(("MAILTO:", "mailto:", "urn:", "")) + f"r{source.below(9)}@example.org"
    name = source.one((";CN=Ann", ';CN="Doe: Ann";EMAIL="a@example.org"', ";PARTSTAT=NEEDS-ACTION", ""))
    lines = [
        "BEGIN:VCALENDAR",
        f"METHOD:{source.one(('REQUEST', 'Reply', 'CANCEL', 'publish', text(source)))}",
        f"BEGIN:{source.one(('VEVENT', 'vtodo', 'VALARM'))}",
        f"SUMMARY:{text(source)}",
        f"ORGANIZER{name}:mailto:ann@example.org",
        *source.some(lambda: f"ATTENDEE{name}:{person}", 3),
        source.one(("END:VEVENT", "END:vevent", "END:VTODO", "")),
        "END:VCALENDAR",
    ]
    end = source.one(("\r\n", "\n", "\r"))
    return end.join(line[:40] + end + " " + line[40:] if source.chance(0.2) else line for line in lines)


def multipart(source: Source, end: bytes, depth: int, blank: bytes) -> bytes:
    boundary = source.one((b"b", b"b=1", b"b c", b"--b", b"=_%d" % source.below(99), b"\xe4", b"b"))
    kind = source.one(
        (b"mixed", b"alternative", b"related", b"signed", b"report", b"digest", b"encrypted", b"MIXED")
    )
    quote = source.one((b'"', b'"', b""))
    head = b"Content-Type: multipart/" + kind + b"; boundary=" + quote + boundary + quote + end
    line = end + b"--" + boundary
    parts = [entity(source, end, depth - 1) for _ in range(source.below(4))]
    body = b"".join(line + source.one((b"", b"", b" ", b"\t")) + end + part for part in parts)
    closing = b"" if source.chance(0.2) else line + b"--" + end
    preamble, epilogue = (
        source.one((b"", b"preamble", b"\xe4")),
        source.one((b"", b"footer" + end, b"\xff\0")),
    )
    return head + blank + preamble + body + closing + epilogue


def content(source: Source, end: bytes) -> tuple[bytes, bytes]:
    """Make a body and name its transfer encoding, not always truly."""
    data = (
        source.data(200)
        if source.chance(0.5)
        else end.join(encoded(source, w) for w in source.some(lambda: text(source), 6))
    )
    if source.chance(0.1):
        data = calendar(source).encode("utf-8", "replace")
    encoding = source.one(
        (
            b"",
            b"7bit",
            b"8 bit",
            b"base64",
            b"base64",
            b"quoted-printable",
            b"Quoted_Printable",
            b"x-uuencode",
            b"x-yenc",
        )
    )
    body = data
    if encoding == b"base64" and source.chance(0.9):
        body = armoured(source, data, end)
    elif encoding[:2] == b"x-" and source.chance(0.9):
        body = framed(source, data, end, encoding)
    elif encoding[:1] in b"qQ" and source.chance(0.8):
        body = binascii.b2a_qp(data, istext=source.chance(0.5)).replace(b"\n", end)
        body += source.one((b"", b"=", b"=\r", b"=4", b"=zz", b"=\r\n", b"= \t\n", b"=e4"))
    return encoding, body


def armoured(source: Source, data: bytes, end: bytes) -> bytes:
    """Make base64 in lines, with what senders do to it: padding within, lines apart, noise, a footer."""
    if source.chance(0.3):
        pieces = [data[at : at + 50] for at in range(0, len(data), 50)]
        lines = [base64.b64encode(piece) for piece in pieces]
    else:
        whole = base64.b64encode(data)
        lines = [whole[at : at + 76] for at in range(0, len(whole), 76)]
    if source.chance(0.3):
        noise = source.one(
            (b"=", b"==", b"===", b"A", b"AA", b"A===", b"-", b"\xe4", b" ", b"=\r\n=", b"_", b"!")
        )
        lines.insert(source.below(len(lines) + 1), noise)
    return end.join(lines) + source.one(
        (b"", end, end + b"_____" + end + b"footer", b"=", b"A", end + b"QUJD", b"AA=A")
    )


def framed(source: Source, data: bytes, end: bytes, encoding: bytes) -> bytes:
    """Make a file as uuencode or yEnc write it, between its first and its last line."""
    name = encoded(source, source.one(("report.pdf", "a b", "\xdc")))
    if encoding == b"x-yenc":
        first, last = b"=ybegin line=128 size=%d name=%b" % (len(data), name), b"=yend size=%d" % len(data)
        coded = bytes((byte + 42) % 256 for byte in data)
        for special in b"=\0\r\n":
            coded = coded.replace(bytes([special]), bytes([61, (special + 64) % 256]))
        lines = [coded[at : at + 128] for at in range(0, len(coded), 128)]
    else:
        first, last = b"begin 644 " + name, source.one((b"end", b"`" + end + b"end", b""))
        lines = [binascii.b2a_uu(data[at : at + 45])[:-1] for at in range(0, len(data), 45)]
    return end.join([source.one((b"", b"text" + end)) + first, *lines, last, source.one((b"", b"footer"))])


def broken(source: Source, data: bytes) -> bytes:
    """Change some bytes of `data`, often none."""
    for _ in range(source.below(4) if source.chance(0.5) else 0):
        at = source.below(len(data) + 1)
        to = at + source.below(12)
        piece = source.one(
            (b"", b"\0", b"\r", b"\n", b"\r\n", b"\x80", source.data(3), data[at:to] * 2, b" ", b"--", b"=")
        )
        data = data[:at] + piece + data[to if source.chance(0.5) else at :]
    return data


def broken_text(source: Source, value: str) -> str:
    return broken(source, value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
