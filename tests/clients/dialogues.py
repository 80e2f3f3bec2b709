"""Clients whose programs cannot be had here, by the bytes that they send."""

import base64
import socket
import ssl
from pathlib import Path

from tests.clients.cells import LOGIN, MAIL_FROM, PASSWORD, RECIPIENTS, TEXT, Cell, Entrance

PATIENCE = 60


class Wire:
    """A client that takes what one `recv` gives for the whole reply, as many simple ones do."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("localhost", port), PATIENCE)

    def hear(self, code: bytes) -> bytes:
        reply = self.socket.recv(4096)
        assert reply.startswith(code) and reply.endswith(b"\r\n"), reply
        return reply

    def say(self, line: bytes, code: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.hear(code)

    def encrypt(self, ca: Path) -> None:
        self.socket = ssl.create_default_context(cafile=ca).wrap_socket(
            self.socket, server_hostname="localhost"
        )


def dot_net(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """System.Net.Mail.SmtpClient (and Send-MailMessage): a short name, AUTH in lower case with the user.

    Its writer: SmtpCommands.cs and SmtpLoginAuthenticationModule.cs of dotnet/runtime; the text goes as
    base64 and the content ends with an empty line before the dot.
    """
    wire = Wire(entrance.ports[cell.encryption])
    wire.hear(b"220 ")
    offered = wire.say(b"EHLO WIN-7QK2", b"250")
    if cell.encryption == "starttls":
        assert b"STARTTLS" in offered
        wire.say(b"STARTTLS", b"220 ")
        wire.encrypt(entrance.ca)
        wire.say(b"EHLO WIN-7QK2", b"250")
    if cell.mechanism:
        wire.say(b"AUTH login " + base64.b64encode(LOGIN.encode()), b"334 ")
        wire.say(base64.b64encode(PASSWORD.encode()), b"235 ")
    wire.say(b"MAIL FROM:<%s>" % MAIL_FROM.encode(), b"250 ")
    for recipient in RECIPIENTS:
        wire.say(b"RCPT TO:<%s>" % recipient.encode(), b"250 ")
    wire.say(b"DATA", b"354 ")
    text = base64.encodebytes(TEXT.replace("\n", "\r\n").encode()).replace(b"\n", b"\r\n")
    head = (
        f"MIME-Version: 1.0\r\nFrom: {MAIL_FROM}\r\nTo: {', '.join(RECIPIENTS)}\r\n"
        "Date: 22 Nov 2026 12:00:00 +0100\r\n"
        f"Subject: by {cell}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    wire.socket.sendall(head.encode())
    wire.socket.sendall(text)
    assert b"queued as" in wire.say(b"\r\n.", b"250 ")
    wire.say(b"QUIT", b"221 ")
    wire.socket.close()


def zabbix(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """Zabbix without libcurl (zbxmedia/email.c): HELO, no parameters, gone before the reply to QUIT."""
    _zabbix(cell, entrance, b"HELO zabbix.example.org")


def zabbix_without_helo(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """Zabbix with smtp_helo left empty: MAIL is the first that it says."""
    _zabbix(cell, entrance, b"")


def _zabbix(cell: Cell, entrance: Entrance, helo: bytes) -> None:
    wire = Wire(entrance.ports["plain"])
    wire.hear(b"220")
    if helo:
        wire.say(helo, b"250")
    wire.say(b"MAIL FROM:<%s>" % MAIL_FROM.encode(), b"250")
    for recipient in RECIPIENTS:
        wire.say(b"RCPT TO:<%s>" % recipient.encode(), b"250")
    wire.say(b"DATA", b"354")
    text = base64.encodebytes(TEXT.encode()).replace(b"\n", b"\r\n")
    head = (
        f"From: <{MAIL_FROM}>\r\nTo: {','.join(f'<{r}>' for r in RECIPIENTS)}\r\n"
        f"Date: Sun, 22 Nov 2026 12:00:00 +0100\r\nSubject: by {cell}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: text/plain; charset="UTF-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    )
    wire.socket.sendall(head.encode() + text)
    wire.say(b"\r\n.", b"250")
    wire.socket.sendall(b"QUIT\r\n")
    wire.socket.close()
