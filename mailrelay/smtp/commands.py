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
_PATH = re.compile(r'[ \t]*(?:<[ \t]*((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)[ \t]*>|([^<>\s]+))(.*)')
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

    Spaces behind the colon and missing brackets are taken, since devices send both; a source route before
    the address is dropped (RFC 5321 appendix C).
    """
    if argument[: len(keyword)].upper() != keyword:
        return None
    match = _PATH.fullmatch(argument[len(keyword) :])
    if match is None:
        return None
    bracketed, bare, rest = match.groups()
    address = bare if bracketed is None else _without_route(bracketed.strip())
    parameters = _parameters(rest)
    return None if parameters is None else Path(address, parameters)


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
