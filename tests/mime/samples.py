"""Messages of the shapes that real programs send, with example.org addresses."""


def _crlf(text):
    return text.lstrip("\n").replace("\n", "\r\n").encode()


OUTLOOK = _crlf("""
From: "Lee, Ann" <relay@example.org>
To: "Doe, John" <john@example.org>, =?iso-8859-1?Q?J=F6rg_M=FCller?=
\t<joerg@example.org>
Cc: Team Lead <lead@example.org>
Subject: =?iso-8859-1?Q?Angebot_f=FCr_M=E4rz?=
Thread-Topic: =?iso-8859-1?Q?Angebot_f=FCr_M=E4rz?=
Thread-Index: AQHZx2m1n9T3m3Q8OUy3m9Q2Zz0wVQ==
Date: Mon, 2 Nov 2026 08:15:30 +0000
Message-ID: <AM0PR0402MB1234@AM0PR0402.eurprd04.prod.example.org>
In-Reply-To: <0001@example.org>
References: <0000@example.org>
\t<0001@example.org>
Accept-Language: de-DE, en-US
Content-Language: de-DE
X-MS-Has-Attach: yes
Content-Type: multipart/mixed;
\tboundary="_004_AM0PR0402MB1234AM0PR0402eurp_"
MIME-Version: 1.0

--_004_AM0PR0402MB1234AM0PR0402eurp_
Content-Type: multipart/alternative;
\tboundary="_000_AM0PR0402MB1234AM0PR0402eurp_"

--_000_AM0PR0402MB1234AM0PR0402eurp_
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe, this line is broken softly and goes on with=
=3D41 in the next one.

--_000_AM0PR0402MB1234AM0PR0402eurp_
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

<html><body style=3D"color:black">Sch=F6ne Gr=FC=DFe</body></html>

--_000_AM0PR0402MB1234AM0PR0402eurp_--

--_004_AM0PR0402MB1234AM0PR0402eurp_
Content-Type: application/pdf; name="=?iso-8859-1?Q?=DCbersicht.pdf?="
Content-Disposition: attachment; filename="=?iso-8859-1?Q?=DCbersicht.pdf?=";
\tsize=9; creation-date="Mon, 02 Nov 2026 08:15:00 GMT"
Content-Transfer-Encoding: base64

JVBERi0xLjQK

--_004_AM0PR0402MB1234AM0PR0402eurp_--
""")

NEXTCLOUD = _crlf("""
Message-ID: <f8a1@cloud.example.org>
Date: Mon, 02 Nov 2026 08:15:30 +0000
Subject: Ann shared =?utf-8?Q?=C2=BBBudget=C2=AB?= with you
From: Nextcloud <cloud@example.net>
To: =?utf-8?Q?J=C3=B6rg?= <joerg@example.org>
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: DR, NDR, RN, OOF, AutoReply
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=XYZ_b

--XYZ_b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Ann shared =C2=BBBudget=C2=AB with you.
--XYZ_b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>Ann shared =C2=BBBudget=C2=AB with you.</p>
--XYZ_b--
""")

THUNDERBIRD_SIGNED = _crlf("""
Message-ID: <7c1f@example.org>
Date: Mon, 2 Nov 2026 09:15:30 +0100
MIME-Version: 1.0
User-Agent: Mozilla Thunderbird
To: john@example.org
From: Ann Lee <relay@example.org>
Subject: signed
Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;
 boundary="------------ms01"

This is a cryptographically signed message in MIME format.

--------------ms01
Content-Type: text/plain; charset=UTF-8; format=flowed
Content-Transfer-Encoding: 7bit

signed text, with a trailing space\x20

--------------ms01
Content-Type: application/pkcs7-signature; name="smime.p7s"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="smime.p7s"
Content-Description: S/MIME Cryptographic Signature

MIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG9w0BBwEAAA==
--------------ms01--
""")

INVITE = _crlf("""
From: Ann Lee <relay@example.org>
To: John Doe <john@example.org>
Subject: Planning
Message-ID: <invite@example.org>
Date: Mon, 2 Nov 2026 08:15:30 +0000
Content-Class: urn:content-classes:calendarmessage
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="_000_invite_"

--_000_invite_
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: base64

UGxhbm5pbmcNCg==

--_000_invite_
Content-Type: text/calendar; charset="utf-8"; method=REQUEST
Content-Transfer-Encoding: 7bit

BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
ORGANIZER;CN=Ann Lee:mailto:relay@example.org
ATTENDEE;ROLE=REQ-PARTICIPANT;CN=John Doe:mailto:john@example.org
UID:040000008200E00074C5B7101A82E008
END:VEVENT
END:VCALENDAR

--_000_invite_--
""")

PRINTER = (
    b"From: scanner@example.org <scanner@example.org>\n"
    b"To: relay@example.org;john@example.org\n"
    b"Subject: Gescannt f\xfcr B\xfcro\n"
    b"Content-Type: multipart/mixed; boundary=scan\n"
    b"\n"
    b"--scan\n"
    b"Content-Type: text/plain\n"
    b"\n"
    b"Gr\xfc\xdfe vom Drucker\n"
    b"\n"
    b"--scan\n"
    b'Content-Type: application/pdf; name="Sc\xe4n.pdf"\n'
    b"Content-Transfer-Encoding: base64\n"
    b"\n"
    b"JVBERi0x\n"
    b"LjQK\n"
    b"--scan--\n"
)

LIST_POST = _crlf("""
Return-Path: <list-bounces@lists.example.org>
Received: from mx.example.org by lists.example.org; Mon, 2 Nov 2026 08:15:30 +0000
DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x; h=from:to; bh=x; b=x
From: Ann Lee via list <list@lists.example.org>
To: list@lists.example.org
Cc: someone.else@example.net
Reply-To: Ann Lee <ann@example.net>
Sender: list-bounces@lists.example.org
Subject: [list] news
Date: Mon, 2 Nov 2026 08:15:30 +0000
Message-ID: <post@lists.example.org>
List-Id: <list.lists.example.org>
List-Unsubscribe: <https://lists.example.org/unsubscribe>
Precedence: list
Content-Type: text/plain; charset=utf-8

The news.
--\x20
footer
""")

NO_HEADERS = b"Low toner in printer 3\r\nPlease refill\r\n"

ALL = {
    "outlook": OUTLOOK,
    "nextcloud": NEXTCLOUD,
    "thunderbird": THUNDERBIRD_SIGNED,
    "invite": INVITE,
    "printer": PRINTER,
    "list": LIST_POST,
    "no headers": NO_HEADERS,
}
