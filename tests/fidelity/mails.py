"""Mail of many shapes, small; `padded` makes each of them large by a file beside what it is."""

import base64
import random

TOP = (
    b"From: App <gateway@contoso.test>\r\nTo: Ann <ann@example.org>\r\nMessage-ID: <shape@app.test>\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
)
THREAD = (
    b"Reply-To: Desk <desk@example.org>\r\nIn-Reply-To: <one@app.test>\r\n"
    b"References: <zero@app.test>\r\n <one@app.test>\r\nImportance: high\r\nX-Priority: 1 (Highest)\r\n"
    b"Disposition-Notification-To: <desk@example.org>\r\nReturn-Receipt-To: <desk@example.org>\r\n"
    b"Subject: =?utf-8?B?R3LDvMOfZSBhdXM=?=\r\n =?iso-8859-1?Q?_dem_B=FCro?=\r\n"
    b"Comments: =?utf-8?Q?J=C3=B6rg?=\r\n"
    b"List-Id: <news.app.test>\r\nList-Unsubscribe: <mailto:leave@app.test>\r\nX-Tag: blue\r\n"
)
PNG = base64.encodebytes(random.Random(7).randbytes(600)).replace(b"\n", b"\r\n").rstrip()
PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nplain text\r\n.dot at the start"
HTML = b'Content-Type: text/html; charset=utf-8\r\n\r\n<p>html <img src="cid:pic@app.test"></p>'
PICTURE = (
    b"Content-Type: image/png; name=p.png\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-ID: <pic@app.test>\r\nContent-Disposition: inline; filename=p.png\r\n\r\n" + PNG
)
QP = (
    b"Content-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Gr=FC=DFe, 5 =A4, a line that goes on and on and on and on, over its soft break=\r\n=41fter it, =\r\n"
    b"20 more and a trailing space=20\r\n"
)
SHIFT_JIS = b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$BF|K\\8l\x1b(B"
NAMES = (
    b'Content-Type: application/pdf; name="=?utf-8?B?w6TDtsO8LnBkZg==?="\r\n'
    b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n"
    b" filename*0*=utf-8''%C3%A4%C3%B6;\r\n filename*1*=%C3%BC.pdf\r\n\r\n" + PNG
)
CALENDAR = (
    b"Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
    b"BEGIN:VEVENT\r\nATTENDEE:mailto:ann@example.org\r\nORGANIZER:mailto:boss@example.net\r\n"
    b"END:VEVENT\r\nEND:VCALENDAR"
)
TNEF = (
    b"Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" + PNG
)
FORWARD = (
    b"Content-Type: message/rfc822\r\n\r\n"
    b"From: x@example.net\r\nTo: y@example.net\r\nBcc: z@example.net\r\n\r\nold"
)
SIGNED_BODY = (
    b"--s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"sign\xc3\xa9d \r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN\r\n--s--"
)
SIGNED = (
    b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=s\r\n\r\n' + SIGNED_BODY
)
ENCRYPTED = (
    b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=e\r\n\r\n'
    b"--e\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--e\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nxx\r\n--e--"
)
PGP_INLINE = (
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n"
    b"Hash: SHA256\r\n\r\n- - dash, and a trailing space \r\n"
    b"-----BEGIN PGP SIGNATURE-----\r\n\r\nxx\r\n-----END PGP SIGNATURE-----"
)
REPORT = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=d\r\n\r\n"
    b"--d\r\n" + PLAIN + b"\r\n--d\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; x@example.net\r\nAction: failed\r\n"
    b"\r\n--d--"
)
SMIME = (
    b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + PNG
)


def multipart(kind: bytes, *parts: bytes, boundary: bytes = b"b") -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b"Content-Type: multipart/"
        + kind
        + b"; boundary="
        + boundary
        + b"\r\n\r\n"
        + body
        + b"--"
        + boundary
        + b"--"
    )


#: What goes out byte for byte.
CLEAN = {
    "plain": PLAIN,
    "alternative": multipart(b"alternative", PLAIN, HTML),
    "related": multipart(b"related", HTML, PICTURE, boundary=b"r"),
    "alternative with related": multipart(
        b"alternative", PLAIN, multipart(b"related", HTML, PICTURE, boundary=b"r"), boundary=b"a"
    ),
    "quoted-printable": QP,
    "iso-2022-jp": SHIFT_JIS,
    "names": multipart(b"mixed", PLAIN, NAMES, boundary=b"n"),
    "calendar": multipart(b"alternative", PLAIN, CALENDAR, boundary=b"c"),
    "winmail.dat": multipart(b"mixed", PLAIN, TNEF, boundary=b"t"),
    "forwarded": multipart(b"mixed", PLAIN, FORWARD, boundary=b"f"),
    "empty": b"Content-Type: text/plain\r\n\r\n",
    "signed with 8-bit text": SIGNED,
    "PGP/MIME": ENCRYPTED,
    "S/MIME": SMIME,
    "PGP within the text": PGP_INLINE,
    "report": REPORT,
    "file alone beside nothing": multipart(b"mixed", NAMES, boundary=b"n"),
    "empty alternatives": multipart(
        b"alternative", b"Content-Type: text/plain\r\n\r\n", b"Content-Type: text/html\r\n\r\n", boundary=b"z"
    ),
    "mixed in mixed": multipart(
        b"mixed", multipart(b"mixed", PLAIN, NAMES, boundary=b"inner"), NAMES, boundary=b"outer"
    ),
}
#: Text of many languages in the charsets that mail has it in.
CHARSETS = {
    "utf-8": "Grüße, 日本語, русский ✓",
    "windows-1252": "“Grüße” – 5 €",
    "iso-8859-1": "Grüße",
    "iso-8859-2": "Žluťoučký kůň",
    "koi8-r": "русский",
    "shift_jis": "日本語",
    "gb18030": "简体中文",
    "euc-kr": "한국어",
    "iso-8859-8": "עברית",
}
#: What is made safe: the content that has to arrive.
UNCLEAN = {
    "8bit": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        "Grüße\r\n".encode(),
    ),
    "latin-1": (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n", b"Gr\xfc\xdfe\r\n"),
    "binary": (
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n",
        bytes(range(256)),
    ),
    "bare LF": (b"Content-Type: text/plain; charset=us-ascii\r\n\r\n", b"one\ntwo\n"),
}  # fmt: skip
FILE = (
    b"Content-Type: application/zip; name=big.zip\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=big.zip\r\n\r\n"
)
BIG = random.Random(3).randbytes(4_500_000)


def padded(entity: bytes) -> bytes:
    """Put `entity` beside a large file."""
    content = base64.encodebytes(BIG).replace(b"\n", b"\r\n").rstrip()
    return multipart(b"mixed", entity, FILE + content, boundary=b"outermost")
