"""Calendars, and mail that carries them in all the ways that programs have."""

import base64
import quopri

TOP = (
    b"From: App <relay@example.org>\r\nTo: Ann <ann@example.org>\r\nSubject: Talk\r\n"
    b"Message-ID: <invite@app.test>\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
)
PLAIN = b"Content-Type: text/plain\r\n\r\nInternal: do not forward."
HTML = b"Content-Type: text/html\r\n\r\n<p>Internal</p>"


def event(*attendees: str, organizer: str = "relay@example.org", name: str = "VEVENT", more: str = "") -> str:
    people = "".join(f"ATTENDEE;RSVP=TRUE:mailto:{address}\r\n" for address in attendees)
    return (
        f"BEGIN:{name}\r\nUID:1@app.test\r\nDTSTART:20261201T100000Z\r\nSUMMARY:Talk\r\n"
        f"ORGANIZER;CN=App:mailto:{organizer}\r\n{people}{more}END:{name}\r\n"
    )


def calendar(*events: str, method: str = "REQUEST") -> bytes:
    says = f"METHOD:{method}\r\n" if method else ""
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//app//EN\r\n{says}{''.join(events)}END:VCALENDAR\r\n"
    return text.encode()


def part(
    content: bytes, kind: str = "text/calendar; method=REQUEST; charset=utf-8", *more: str, encoding: str = ""
) -> bytes:
    lines = [f"Content-Type: {kind}", *more]
    if encoding:
        lines.append(f"Content-Transfer-Encoding: {encoding}")
        encode = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}[encoding]
        content = encode(content).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return "\r\n".join([*lines, "", ""]).encode() + content.removesuffix(b"\r\n")
