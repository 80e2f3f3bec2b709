"""Replies of the listener: a code, an enhanced status code and a sentence (RFC 5321, RFC 2034)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

#: Octets a reply line may have, its CRLF included (RFC 5321 section 4.5.3.1.5).
LINE_LIMIT = 512
#: Surrogates among them: they stand for bytes that were no UTF-8, and no database or log takes them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: A surrogate that is this much and a byte stands for the byte (PEP 383).
_BYTE = 0xDC00


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `rule` is the word that the log and the tests know the decision by.

    `about` is the address that a client may not use, where that is the reason.
    """

    line: str
    rule: str = ""
    about: str = ""

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
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - _BYTE if code > _BYTE else code:02x}"


#: The rules of the two replies that tell a queue id, the last word of their lines.
QUEUED, REPEATED = "queued", "repeated"


def queued(queue_id: UUID) -> Reply:
    return Reply(f"250 2.0.0 Ok: queued as {queue_id.hex}", QUEUED)


def repeated(queue_id: UUID, *, same: bool) -> Reply:
    """Answer a mail that was taken before, or whose key was: as then, unless that was another mail."""
    if same:
        return Reply(queued(queue_id).line, REPEATED)
    return Reply(
        f"554 5.5.4 This Idempotency-Key was taken with another mail, {queue_id.hex}: give each mail its own",
        "idempotency-key",
    )


OK = Reply("250 2.0.0 Ok")
MAIL_OK = Reply("250 2.1.0 Ok")
RCPT_OK = Reply("250 2.1.5 Ok")
START_DATA = Reply("354 End data with <CR><LF>.<CR><LF>")
BYE = Reply("221 2.0.0 Bye")
HELP = Reply("214 2.0.0 Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT")
READY_FOR_TLS = Reply("220 2.0.0 Ready to start TLS")
LOGGED_IN = Reply("235 2.7.0 Authentication succeeded")
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
AUTH_ALREADY = Reply("503 5.5.1 You are logged in already", "sequence")
AUTH_IN_MAIL = Reply("503 5.5.1 A transaction is under way: AUTH comes before MAIL", "sequence")
AUTH_NEEDS_TLS = Reply("538 5.7.11 A login needs encryption: send STARTTLS first", "auth-tls")
AUTH_NOT_OFFERED = Reply("503 5.5.1 This listener takes no logins", "auth-off")
AUTH_MECHANISM = Reply("504 5.5.4 The mechanism is not known: use PLAIN or LOGIN", "auth-mechanism")
AUTH_SYNTAX = Reply("501 5.5.2 That is not base64 of a name and a password", "auth-syntax")
AUTH_CANCELLED = Reply("501 5.7.0 Authentication cancelled", "auth-cancelled")
AUTH_REQUIRED = Reply("530 5.7.0 Log in first: this listener takes mail of logged-in clients only", "auth")
AUTH_FAILED = Reply("535 5.7.8 The user name or the password is wrong", "auth")
AUTH_LIMITED = Reply("454 4.7.0 Too many failed logins, try again in a while", "auth-limit")
AUTH_BUSY = Reply("454 4.7.0 Logins cannot be checked now, try again later", "auth-busy")
TOO_MANY_LOGINS = Reply("421 4.7.0 Too many failed logins, closing the connection", "auth")
BDAT_SYNTAX = Reply("501 5.5.4 Write BDAT size, or BDAT size LAST", "syntax")
BDAT_TOO_LARGE = Reply("552 5.3.4 The chunk is far larger than any message that is taken", "size")
DATA_IN_CHUNKS = Reply("503 5.5.1 The message has come by BDAT so far: end it with BDAT 0 LAST", "sequence")
CANNOT_STORE = Reply("421 4.3.2 Mail cannot be stored now, try again later", "storage")
NEED_MAIL = Reply("503 5.5.1 Send MAIL first", "sequence")
NEED_RCPT = Reply("503 5.5.1 Send RCPT first", "sequence")
NO_VALID_RCPT = Reply("554 5.5.1 No recipient was accepted", "sequence")

TOO_MANY_ERRORS = Reply("421 4.7.0 Too many errors, closing the connection", "errors")
TOO_MUCH_IDLING = Reply("421 4.7.0 Too many commands without a mail, closing the connection", "idling")
TOO_SLOW = Reply("421 4.4.2 Timeout, closing the connection", "timeout")
SHUTTING_DOWN = Reply("421 4.3.2 The server is shutting down, try again later", "drain")
TRY_LATER = Reply("451 4.3.0 The message could not be stored now, try again later", "storage")
SENDER_ABSENT = Reply(
    "451 4.3.5 The sender takes no mail now: it or its app registration is switched off, or was switched on "
    "a moment ago; try again then",
    "no-sender",
)
STORAGE_FULL = Reply("452 4.3.1 There is not enough storage now, try again later", "storage-full")
PUT_OFF = Reply(
    "452 4.3.1 Too many bytes are being received at this moment, try again later: the limit is "
    "SMTP_MAX_BYTES_IN_TRANSFER",
    "bytes-in-transfer",
)
BARE_LINE_FEEDS = Reply(
    "550 5.5.2 The message does not end with <CR><LF>.<CR><LF>: the client must end lines with CR LF",
    "bare-lf",
)
NO_MORE_MAIL = Reply(
    "421 4.5.0 The last mail did not end with <CR><LF>.<CR><LF>: connect again for another", "end-of-data"
)
HEADER_TOO_LARGE = Reply("552 5.3.4 The header of the message is larger than 262144 bytes", "header-size")
LOOP = Reply("554 5.4.6 The message has 50 Received fields: it goes in a circle", "loop")
LOOPED_HERE = Reply(
    "554 5.4.6 The message has passed this gateway three times already: it goes in a circle", "loop"
)
BARE_LF_REFUSED = Reply(
    "550 5.5.2 The message has bare LF in it: the client must end lines with CR LF, or use a listener with "
    "barelf=normalize",
    "bare-lf",
)
TLS_ALREADY = Reply("503 5.5.1 TLS is in use already", "sequence")
TLS_NOT_AVAILABLE = Reply("454 4.7.0 TLS is not available now: the certificate cannot be used", "tls")
TLS_REQUIRED = Reply("530 5.7.0 Send STARTTLS first", "tls-required")
TALKED_BEFORE_TLS = Reply("554 5.5.1 Wait for the reply to STARTTLS before you say more", "starttls")
TLS_ON_PLAIN_PORT = Reply(
    "554 5.5.1 This port does not begin with TLS: set the client to STARTTLS or no encryption, or to the "
    "port of an smtps:// listener",
    "tls",
)
HTTP_ON_SMTP_PORT = Reply("554 5.5.1 This port speaks SMTP, not HTTP", "http")
