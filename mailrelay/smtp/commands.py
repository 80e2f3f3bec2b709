"""SMTP command lines as data: verb, path and parameters (RFC 5321 section 4.1)."""

import re
from dataclasses import dataclass, field

from mailrelay.smtp import replies
from mailrelay.smtp.replies import Reply

#: Octets of a command line with its CRLF. RFC 5321 section 4.5.3.1.4 asks for 512; MAIL and RCPT grow with
#: their extensions (SIZE 26, SMTPUTF8 10, BODY 17, AUTH 500, DSN 100 and 500), and appliances exceed that;
#: and the base64 of a login comes with AUTH (RFC 4954 section 4).
LINE_LIMITS = {"MAIL": 2048, "RCPT": 2048, "AUTH": 12_288}
LINE_LIMIT = 1024

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WORD = r'"(?:[^"\\]|\\.)*"'
#: A bracket and the name that may stand before it; then the address in the innermost ones.
_OPENING = re.compile(rf'(?>(?:{_WORD}|[^<>"])*)<')
_ADDRESS = re.compile(rf'[ \t]*((?>(?:{_WORD}|[^<>"\s])*))')
_CLOSING = re.compile(r"[ \t]*>")
_BARE = re.compile(r"[ \t]*([^<>\s]+)")
_HOP = r"@(?:[^:@,\s\[\]]+|\[[^\s\[\]]*\])"
_SOURCE_ROUTE = re.compile(rf"{_HOP}(?:,{_HOP})*:")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=(\S*))?")


@dataclass(frozen=True, slots=True)
class Command:
    verb: str
    argument: str


@dataclass(frozen=True, slots=True)
class Path:
    """The address of MAIL or RCPT without its brackets, and the parameters behind it, names upper-cased."""

    address: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_command(line: bytes) -> Command | Reply:
    """Take a line (its end included) apart, or say what is wrong with it."""
    text = line.rstrip(b"\r\n")
    if _CONTROL.search(text):
        return replies.CONTROL_CHARACTERS
    verb, _, argument = text.decode("utf-8", "surrogateescape").strip().partition(" ")
    verb = verb.upper()
    if not verb or not verb.isascii():
        return replies.BAD_SYNTAX
    if len(line) > LINE_LIMITS.get(verb, LINE_LIMIT):
        return replies.LINE_TOO_LONG
    return Command(verb, argument.strip())


def parse_path(keyword: str, argument: str) -> Path | None:
    """Parse `FROM:<address> NAME=value …` for `keyword` "FROM:" or "TO:"; None if it is not that.

    Spaces behind the colon and missing brackets are taken, since devices send both, and so is an address as
    a header has it, with or without brackets around all of it (`<Name <a@b>>`): the one in the innermost
    brackets counts, as for Postfix. A source route before it is dropped (RFC 5321 appendix C).
    """
    if argument[: len(keyword)].upper() != keyword:
        return None
    text = argument[len(keyword) :]
    return _bare_path(text) or _bracketed_path(text)


def _bare_path(text: str) -> Path | None:
    match = _BARE.match(text)
    parameters = _parameters(text[match.end() :]) if match else None
    return None if match is None or parameters is None else Path(match[1], parameters)


def _bracketed_path(text: str) -> Path | None:
    at, depth = 0, 0
    while opening := _OPENING.match(text, at):
        at, depth = opening.end(), depth + 1
    match = _ADDRESS.match(text, at)
    if match is None or (end := _closed(text, match.end(), depth)) < 0:
        return None
    address, parameters = _without_route(match[1]), _parameters(text[end:])
    # Brackets around nothing are the null reverse-path; a name without an address is neither.
    lacking = not address and text[:at].strip("< \t") != ""
    return None if lacking or not depth or parameters is None else Path(address, parameters)


def _closed(text: str, at: int, depth: int) -> int:
    """Find where `depth` closing brackets end that begin at `at`; -1 if they are not there."""
    for _ in range(depth):
        closing = _CLOSING.match(text, at)
        if closing is None:
            return -1
        at = closing.end()
    return at


def _without_route(path: str) -> str:
    route = _SOURCE_ROUTE.match(path)
    return path[route.end() :] if route else path


def _parameters(text: str) -> dict[str, str] | None:
    if not text:
        return {}
    found: dict[str, str] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            return None
        found[match[1].upper()] = match[2] or ""
    return found if text[0] in " \t" else None
