"""What the listener says: a reply code, an enhanced status code and a sentence (RFC 5321, RFC 2034)."""

import re
from dataclasses import dataclass
from functools import lru_cache

#: Octets a reply line may have, its CRLF included (RFC 5321 section 4.5.3.1.5).
LINE_LIMIT = 512
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `rule` is the word that the log and the tests know the decision by."""

    line: str
    rule: str = ""

    @property
    def code(self) -> str:
        return self.line[:3]

    @property
    def positive(self) -> bool:
        return self.line[0] in "23"

    def encoded(self, *, utf8: bool = False) -> bytes:
        """The reply as it goes out: as many lines as it needs, ASCII unless the client asked for SMTPUTF8."""
        return _encoded(self.line, utf8)


@lru_cache(maxsize=256)
def _encoded(line: str, utf8: bool) -> bytes:
    data = printable(line).encode("utf-8" if utf8 else "ascii", "backslashreplace")
    if len(data) + 2 <= LINE_LIMIT:
        return data + b"\r\n"
    words = data.split(b" ")
    head = b" ".join(words[:2])
    lines = [b""]
    for word in words[2:]:
        if len(head) + len(lines[-1]) + len(word) + 4 > LINE_LIMIT:
            lines.append(b"")
        lines[-1] += b" " + word[: LINE_LIMIT - len(head) - 4]
    return b"".join(
        head[:3] + (b"-" if number < len(lines) else b" ") + head[4:] + text + b"\r\n"
        for number, text in enumerate(lines, 1)
    )


def printable(text: str) -> str:
    r"""`text` on one line: control characters, which could forge a log line or a reply, as `\x0a`."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


OK = Reply("250 2.0.0 Ok")
MAIL_OK = Reply("250 2.1.0 Ok")
RCPT_OK = Reply("250 2.1.5 Ok")
START_DATA = Reply("354 End data with <CR><LF>.<CR><LF>")
BYE = Reply("221 2.0.0 Bye")
HELP = Reply("214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")
CANNOT_VERIFY = Reply("252 2.5.0 Addresses are not verified; send the message and it will be tried")

BAD_SYNTAX = Reply("500 5.5.2 This is not a command", "syntax")
LINE_TOO_LONG = Reply("500 5.5.2 The command line is too long", "line-length")
CONTROL_CHARACTERS = Reply(
    "501 5.5.2 Commands must not have control characters in them", "control-characters"
)
NO_ARGUMENT = Reply("501 5.5.4 This command takes no argument", "argument")
NOT_OFFERED = Reply("502 5.5.1 This command is not offered", "not-offered")
MAIL_SYNTAX = Reply("501 5.5.4 Write MAIL FROM:<address>", "syntax")
RCPT_SYNTAX = Reply("501 5.5.4 Write RCPT TO:<address>", "syntax")
NESTED_MAIL = Reply("503 5.5.1 A transaction is under way: send RSET before another MAIL", "sequence")
NEED_MAIL = Reply("503 5.5.1 Send MAIL first", "sequence")
NEED_RCPT = Reply("503 5.5.1 Send RCPT first", "sequence")
NO_VALID_RCPT = Reply("554 5.5.1 No recipient was accepted", "sequence")

TOO_MANY_ERRORS = Reply("421 4.7.0 Too many errors, closing the connection", "errors")
TOO_SLOW = Reply("421 4.4.2 Timeout, closing the connection", "timeout")
SHUTTING_DOWN = Reply("421 4.3.2 The server is shutting down, try again later", "drain")
TRY_LATER = Reply("451 4.3.0 The message could not be stored now, try again later", "storage")
STORAGE_FULL = Reply("452 4.3.1 There is not enough storage now, try again later", "storage-full")
BARE_LINE_FEEDS = Reply(
    "550 5.5.2 The message does not end with <CR><LF>.<CR><LF>: the client must end lines with CR LF",
    "bare-lf",
)
HEADER_TOO_LARGE = Reply("552 5.3.4 The header of the message is larger than 262144 bytes", "header-size")
LOOP = Reply("554 5.4.6 The message has 50 Received fields: it goes in a circle", "loop")
TLS_ON_PLAIN_PORT = Reply(
    "554 5.5.1 This port does not begin with TLS: set the client to an unencrypted connection", "tls"
)
HTTP_ON_SMTP_PORT = Reply("554 5.5.1 This port speaks SMTP, not HTTP", "http")
