"""One mailbox (RFC 5322 section 3.4) as it is written."""

import re
from dataclasses import dataclass

from mailrelay.address_forms import QUOTED_LOCAL, same_address
from mailrelay.mime.words import encode_words

__all__ = [
    "ADDRESS_LIMIT",
    "Mailbox",
    "fold",
    "fold_list",
    "format_address",
    "format_group",
    "format_mailbox",
    "is_address",
    "is_writable",
]

ADDRESS_LIMIT = 900  # bytes; RFC 5321 section 4.5.3.1.3 allows 256, a header line 998
_LINE_AIM = 76  # characters, RFC 5322 section 2.1.1 asks for 78

_ATOM_TEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_ATOM_RUN = rf"[\x80-\U0010ffff{_ATOM_TEXT}]+"
_PLAIN_LOCAL = re.compile(rf"{_ATOM_RUN}(?>(?:\.{_ATOM_RUN})*)")
_LABEL = r"[A-Za-z0-9_\x80-\U0010ffff-]+"
_DOMAIN = re.compile(rf"{_LABEL}(?>(?:\.{_LABEL})*)|\[[0-9A-Za-z:.-]+\]")
_ATOMS = re.compile(rf"[{_ATOM_TEXT}]+(?: [{_ATOM_TEXT}]+)*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SPECIAL = re.compile(r'(["\\])')


@dataclass(slots=True, frozen=True)
class Mailbox:
    """One entry of an address list.

    `display` is decoded text, `address` what stands for the address (without `@` if the entry has
    none), `raw` the entry as it stood. `strict` says that every parser reads `raw` alike.
    """

    display: str
    address: str
    raw: str
    strict: bool = False


def is_address(text: str) -> bool:
    """Whether `text` has a local part and a domain."""
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain)


#: What RFC 2047 calls an encoded word.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bBqQ]\?")


def format_address(address: str) -> str:
    """`address` as it may stand in a header; the local part is quoted where it must be.

    Raises ValueError for what no header can hold as one address: line breaks and other controls,
    an empty part, a domain with specials, more than 900 bytes. The text does not repeat the address.
    """
    local, at, domain = address.rpartition("@")
    local, domain = (local, domain.removesuffix(".")) if at else (domain, "")
    if _CONTROL.search(address):
        raise ValueError("the address has a line break, a NUL or another control character in it")
    if not local or (at and not _DOMAIN.fullmatch(domain)) or any(map(str.isspace, domain)):
        raise ValueError("the address has no local part or no valid domain")
    if _ENCODED_WORD.search(local):
        # A reader that decodes it, where RFC 2047 section 5 lets none stand, finds another address.
        raise ValueError("the local part looks like an encoded word")
    if len(address.encode()) > ADDRESS_LIMIT:
        raise ValueError(f"the address is longer than {ADDRESS_LIMIT} bytes")
    return _format_local(local) + at + domain


def _format_local(local: str) -> str:
    plain = _PLAIN_LOCAL.fullmatch(local) and not any(map(str.isspace, local))
    if plain or QUOTED_LOCAL.fullmatch(local):
        return local
    return '"' + _SPECIAL.sub(r"\\\1", local) + '"'


def format_mailbox(display: str, address: str) -> str:
    """One address list entry (ASCII but for the address); raises ValueError as `format_address` does.

    A display name that merely repeats the address is left out.
    """
    written = format_address(address)
    display = " ".join(_CONTROL.sub(" ", display).split())
    if not display or same_address(display, address):
        return written
    return f"{format_phrase(display)} <{written}>"


def format_phrase(display: str) -> str:
    """A display name (or group name) as atoms, a quoted string or encoded words."""
    if not display.isascii() or "=?" in display or len(display) > 200:
        return " ".join(encode_words(display))
    if _ATOMS.fullmatch(display):
        return display
    return '"' + _SPECIAL.sub(r"\\\1", display) + '"'


def format_group(name: str, members: list[str]) -> list[str]:
    """A group (RFC 5322 section 3.4) of members that are written already, as entries of a list."""
    entries = members or [""]
    phrase = format_phrase(" ".join(_CONTROL.sub(" ", name).split())) if name.strip() else '""'
    entries = [f"{phrase}:{' ' if entries[0] else ''}{entries[0]}", *entries[1:]]
    return [*entries[:-1], f"{entries[-1]};"]


def is_writable(address: str) -> bool:
    """Whether `address` has a domain and `format_address` takes it."""
    try:
        format_address(address)
    except ValueError:
        return False
    return is_address(address)


def fold_list(name: str, entries: list[str]) -> str:
    """The entries of field `name` joined by commas and folded: lines of 76 characters where possible."""
    listed = [f"{entry}," for entry in entries[:-1]] + entries[-1:]
    return fold(name, [word for entry in listed for word in _unbreakable(entry)])


def fold(name: str, words: list[str]) -> str:
    """The words of field `name` joined by a space, or by a fold where the line would pass 76 characters."""
    lines: list[list[str]] = [[]]
    width = len(name) + 1
    for word in words:
        size = 1 + len(word.encode("utf-8", "replace"))
        if width + size > _LINE_AIM and any(lines[-1]):
            lines.append([])
            width = 0
        lines[-1].append(word)
        width += size
    return "\r\n ".join(" ".join(line) for line in lines)


def _unbreakable(entry: str) -> list[str]:
    """Entries stay on one line unless they alone are too long: then they break at spaces."""
    return [entry] if len(entry) <= _LINE_AIM - 2 else entry.split(" ")
