"""Finds the charset of a text: the one that it declares, else the one that it looks like."""

import re

from mailrelay.mime.contenttype import ContentType
from mailrelay.mime.decoding import decode_bytes

__all__ = [
    "DECLARED_WITHIN",
    "charset_of",
    "declared_within",
    "is_wide",
    "labelled",
    "may_declare",
    "says_nothing",
    "text_of",
]

#: Bytes of a text in which a declaration is looked for; https://html.spec.whatwg.org/ asks for 1024.
DECLARED_WITHIN = 2_048
_WIDE = ("utf-16", "utf16", "utf-32", "utf32", "ucs-2", "ucs-4", "iso-10646-ucs", "unicode")
_UNLABELLED = frozenset({"", "us-ascii", "ascii", "unknown-8bit"})
_PARAMETER = re.compile(r';[ \t]*charset(?:\*[0-9]{1,3})?\*?[ \t]*=[ \t]*(?:"[^"]*"|[^\s;"]*)', re.IGNORECASE)
_META = re.compile(rb"<meta\s[^>]*?\bcharset\s*=\s*[\"']?\s*([a-z0-9._:-]{1,40})", re.IGNORECASE)
_XML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([a-z0-9._:-]{1,40})", re.IGNORECASE
)
_C1 = re.compile(rb"[\x80-\x9f]")


def is_wide(charset: str) -> bool:
    """Whether a charset, in lower case, has its line ends in more bytes than one."""
    return charset.startswith(_WIDE)


def says_nothing(charset: str) -> bool:
    """Whether a charset, in lower case, tells nothing about bytes beyond ASCII."""
    return charset in _UNLABELLED


def charset_of(kind: ContentType, text: bytes) -> str:
    """The charset of a text whose header tells none; UTF-8 if it is valid UTF-8 and says nothing itself.

    A parameter would beat what HTML or XML says within (RFC 2854 section 6, RFC 7303 section 3), so it
    has to say the same.
    """
    within = declared_within(kind, text[:DECLARED_WITHIN])
    return _guessed(text) if says_nothing(within) or is_wide(within) else within


def text_of(kind: ContentType, data: bytes) -> str:
    """A text as people read it: in the charset that its header tells, else in that of `charset_of`."""
    charset = kind.charset
    return decode_bytes(data, charset_of(kind, data) if says_nothing(charset) else charset)


def may_declare(kind: ContentType) -> bool:
    """Whether a text of this kind may say its charset within itself."""
    return kind.name.endswith(("html", "xml"))


def labelled(value: str, charset: str) -> str:
    """A Content-Type with that charset and no other."""
    return f"{_PARAMETER.sub('', value).rstrip('; ')}; charset={charset}"


def declared_within(kind: ContentType, head: bytes) -> str:
    """What the first bytes of HTML or XML say of their charset, in lower case; empty if nothing."""
    found = _META.search(head) if kind.name == "text/html" else None
    if not found and may_declare(kind):
        found = _XML.match(head)
    return found[1].decode().lower() if found else ""


def _guessed(text: bytes) -> str:
    try:
        text.decode()
    except UnicodeDecodeError:
        return "windows-1252" if _C1.search(text) else "iso-8859-1"
    return "utf-8"
