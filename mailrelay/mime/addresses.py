"""Reading address lists as they come, not as they should be: iterative, linear, never raising."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailrelay.address_forms import lower
from mailrelay.mime.mailbox import (
    ADDRESS_LIMIT,
    Mailbox,
    fold_list,
    format_address,
    format_mailbox,
    is_address,
)
from mailrelay.mime.words import decode_words

__all__ = [
    "AddressList",
    "Group",
    "Mailbox",
    "fold_list",
    "format_address",
    "format_mailbox",
    "is_address",
    "parse_addresses",
    "read_list",
]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABELS = r"[A-Za-z0-9][A-Za-z0-9_-]*+(?>(?:\.[A-Za-z0-9][A-Za-z0-9_-]*+)*)"
_ADDR = rf"{_ATOM}++(?>(?:\.{_ATOM}++)*)@{_LABELS}"
_PLAIN = r'[^"\\<>\x00-\x08\x0a-\x1f\x7f-\U0010ffff]*+'
_WORD = rf'[A-Za-z0-9!#$%&\'*+/=?^_`{{|}}~.-]++|"(?>{_PLAIN}(?:\\[ -~]{_PLAIN})*)"'
_PHRASE = rf"(?>(?:(?:{_WORD})[ \t]*+)*)"
_COMMENT = r'[^()\\<>@,;:"\x00-\x08\x0a-\x1f\x7f-\U0010ffff]*+'
#: Around an address they are no part of it: no domain ends in one.
_OPENING_QUOTES, _CLOSING_QUOTES = "'\"`‘“«‹", "'\"`´’”»›"
MOST_QUOTES = 3
#: Characters of a field that is remembered together with what was read from it.
REMEMBERED_LENGTH = 500


def _entry(group: str) -> str:
    """The form that every parser reads alike; a comment only as in `a@example.org (A. Person)`."""
    return (
        rf"[ \t]*+(?:{group}{_PHRASE})<{group}{_ADDR})>"
        rf"|{group}{_ADDR})(?>(?:[ \t]*+\({group}{_COMMENT})\))?))[ \t]*+"
    )


_STRICT = re.compile(_entry("(") + r"(?=,|\Z)")
_MEMBER = re.compile(_entry("(") + r"(?:,|\Z)")
_GROUP = re.compile(
    r"[ \t]*+([A-Za-z0-9_-][A-Za-z0-9 _-]*+):"
    rf"((?>(?:{_entry('(?:')}(?:,{_entry('(?:')})*)?)[ \t]*+);[ \t]*+(?=,|\Z)"
)
_KINDS = r"""
  (?P<space>[ \t\r\n]++)
| (?P<encoded>=\?[^?\s]{1,60}\?[bBqQ]\?[^?<>]*+\?=)
| (?P<literal>\[[^\[\]<>,;]*+\])
| (?P<text>[^ \t\r\n"\[(),:;<>=\\]++)
"""
_QUOTED = r'| (?P<quoted>"(?>[^"\\]*(?:\\.[^"\\]*)*)")'
_MARK = r"| (?P<mark>.)"
_TOKEN = re.compile(_KINDS + _QUOTED + _MARK, re.VERBOSE | re.DOTALL)
_TOKEN_UNQUOTED = re.compile(_KINDS + _MARK, re.VERBOSE | re.DOTALL)
_COMMENT_MARK = re.compile(r"[()]|\\.", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NOT_IN_ADDRESS = re.compile(r'("(?>[^"\\]*(?:\\.[^"\\]*)*)")|[\s\x00-\x1f\x7f]', re.DOTALL)


@dataclass(slots=True, frozen=True)
class Group:
    """A named group (RFC 5322 section 3.4); `name` is decoded text."""

    name: str
    members: tuple[Mailbox, ...]


@dataclass(slots=True, frozen=True)
class AddressList:
    """What an address field names; `tidy` says that every parser reads the whole of it alike."""

    items: tuple[Mailbox | Group, ...]
    tidy: bool

    @property
    def mailboxes(self) -> list[Mailbox]:
        """All mailboxes, those in groups too, in order."""
        flat: list[Mailbox] = []
        for item in self.items:
            flat.extend(item.members if isinstance(item, Group) else (item,))
        return flat


def parse_addresses(value: str) -> list[Mailbox]:
    """The mailboxes that an address field's unfolded value names; entries without `@` are among them."""
    return read_list(value).mailboxes


def read_list(value: str) -> AddressList:
    """`value` with its groups. Takes anything, raises nothing, in time linear in its length."""
    return _read_again(value) if len(value) <= REMEMBERED_LENGTH else _Scanner(value).run()


@lru_cache(maxsize=256)
def _read_again(value: str) -> AddressList:
    """Applications write the same From and To into mail after mail."""
    return _Scanner(value).run()


class _Scanner:
    """Strict entries are matched whole; what is left is read token by token."""

    def __init__(self, value: str) -> None:
        self.value: Final = value
        self.pos = 0
        self.items: list[Mailbox | Group] = []
        self.members: list[Mailbox | Group] | None = None  # of the group that is open
        self.group_name = ""
        self.tidy = True
        self.tokens = _TOKEN
        self.comments = True
        self.plain = 0  # entries without address at the end: "Doe" of `Doe, John <j@example.org>`
        self._begin()

    def run(self) -> AddressList:
        while self.pos < len(self.value):
            if not self._strict_entry():
                self._loose_entry()
        self._finish(self.pos)
        self._close_group()
        return AddressList(tuple(self.items), self.tidy)

    def _begin(self) -> None:
        self.start = self.pos
        self.words: list[list[str]] = []
        self.glued = False
        self.angle: list[str] = []
        self.in_angle = False
        self.comment = ""

    def _strict_entry(self) -> bool:
        if self.plain or self.members is not None:
            return False
        if match := _STRICT.match(self.value, self.pos):
            self.items.append(_strict_mailbox(match))
        elif match := _GROUP.match(self.value, self.pos):
            members = tuple(map(_strict_mailbox, _MEMBER.finditer(match[2])))
            self.items.append(Group(match[1].strip(), members))
            self.tidy = self.tidy and all(member.strict for member in members)
        else:
            return False
        self.pos = match.end() + 1
        self.tidy = self.tidy and match.end() != len(self.value) - 1
        self._begin()
        return True

    def _loose_entry(self) -> None:
        self.tidy = False
        while self.pos < len(self.value):
            match = self.tokens.match(self.value, self.pos)
            assert match  # the last kind takes any character
            self.pos = match.end()
            if match.lastgroup == "mark":
                if self._mark(match[0]) and self.members is None:
                    return
            elif match.lastgroup == "space":
                self.glued = False
            else:
                self._piece(match[0], alone=match.lastgroup == "encoded")

    def _piece(self, text: str, *, alone: bool = False) -> None:
        if self.in_angle:
            self.angle.append(text)
        elif self.glued and not alone:
            self.words[-1].append(text)
        else:
            self.words.append([text])
        self.glued = not alone

    def _mark(self, mark: str) -> bool:
        """Take one special character; whether an entry has ended."""
        match mark:
            case '"':  # never closed, so the rest has no quotes either
                self.tokens = _TOKEN_UNQUOTED
            case "(":
                self._skip_comment()
            case "<":
                self._open_angle()
            case ":":
                self._colon()
            case "=" | "[":
                self._piece(mark)
            case ">" | "," | ";":
                return self._end_mark(mark)
        return False

    def _end_mark(self, mark: str) -> bool:
        if mark == ">" and not self.in_angle:
            return False
        if mark == "," and self.angle and self.angle[0].startswith("@"):  # a route, RFC 5322 section 4.4
            return False
        self._finish(self.pos if mark == ">" else self.pos - 1)
        if mark == ";":
            self._close_group()
        return True

    def _open_angle(self) -> None:
        if self.angle:  # `<John <j@example.org>>`
            self.words.append(self.angle)
        self.angle, self.in_angle, self.glued = [], True, False

    def _colon(self) -> None:
        if self.angle and self.angle[0].startswith("@"):
            self.angle = []
        elif self.in_angle:
            self.angle.append(":")
        elif self.words and self.members is None and not any("@" in "".join(word) for word in self.words):
            self._open_group()
        self.glued = False

    def _open_group(self) -> None:
        name = _text(self.words)
        self._begin()
        if lower(name) != "mailto":
            self.members, self.group_name, self.plain = [], decode_words(name), 0

    def _close_group(self) -> None:
        if self.members is not None:
            members = tuple(item for item in self.members if isinstance(item, Mailbox))
            self.items.append(Group(self.group_name, members))
        self.members, self.plain = None, 0

    def _skip_comment(self) -> None:
        depth, at = 1, self.pos
        while depth and self.comments:
            match = _COMMENT_MARK.search(self.value, at)
            if not match:
                self.comments = False  # never closed: neither is any that follows
                return
            at = match.end()
            depth += {"(": 1, ")": -1}.get(match[0], 0)
        if self.comments:
            self.comment = self.value[self.pos : at - 1]
            self.pos = at
        self.glued = False

    def _finish(self, end: int) -> None:
        raw = self.value[self.start : end].strip()
        if self.in_angle:
            self._add_named(_address(self.angle), raw)
        elif self.words:
            self._add_bare(raw)
        self._begin()

    def _add_named(self, address: str, raw: str) -> None:
        into = self.items if self.members is None else self.members
        names = []
        while self.plain:
            self.plain -= 1
            last = into.pop()
            names.append(last.address if isinstance(last, Mailbox) else "")
        comment = "" if address.endswith("@") else self.comment  # `root@(none)`
        names = [*reversed(names), _text(self.words) or comment]
        display = ", ".join(decode_words(name) for name in names if name)
        if address:
            into.append(Mailbox(display, address, raw))

    def _add_bare(self, raw: str) -> None:
        into = self.items if self.members is None else self.members
        addresses, names = _split_bare(self.words)
        if len(addresses) == 1:
            comment = "" if addresses[0].endswith("@") else self.comment
            display = decode_words(" ".join(names) or comment)
            into.append(Mailbox(display, addresses[0], raw))
        elif addresses:
            into.extend(Mailbox("", address, address) for address in addresses)
        elif name := " ".join(names).strip():
            into.append(Mailbox("", name, raw))
            self.plain += 1
        if addresses:
            self.plain = 0


def _strict_mailbox(match: re.Match[str]) -> Mailbox:
    phrase, angled, bare, comment = match.groups()
    raw = match[0].rstrip(",").strip(" \t")
    display = decode_words(_phrase_text(phrase) if angled else comment or "")
    return Mailbox(display, angled or bare, raw, strict=len(raw) <= ADDRESS_LIMIT)


def _phrase_text(phrase: str) -> str:
    if '"' not in phrase:
        return phrase.strip(" \t")
    pieces = (match[0] for match in _TOKEN.finditer(phrase))
    return "".join(map(_unquoted, pieces)).strip(" \t")


def _unquoted(piece: str) -> str:
    quoted = len(piece) > 1 and piece[0] == piece[-1] == '"'
    return _ESCAPED.sub(r"\1", piece[1:-1]) if quoted else piece


def _text(words: list[list[str]]) -> str:
    return " ".join("".join(map(_unquoted, word)) for word in words)


def _address(pieces: list[str]) -> str:
    address = _NOT_IN_ADDRESS.sub(r"\1", "".join(pieces))
    for _ in range(MOST_QUOTES):
        if len(address) > 2 and address[0] in _OPENING_QUOTES and address[-1] in _CLOSING_QUOTES:
            address = address[1:-1]
    return address[7:] if lower(address[:7]) == "mailto:" else address


def _split_bare(words: list[list[str]]) -> tuple[list[str], list[str]]:
    """Addresses and names in an entry without angle brackets: `a @ example.org`, `John j@example.org`."""
    joined: list[list[str]] = []
    open_at = False
    for word in words:
        if joined and (open_at or word[0].startswith("@")):
            joined[-1].extend(word)
        else:
            joined.append(list(word))
        open_at = word[-1].endswith("@")
    addresses, names = [], []
    for word in joined:
        if any("@" in piece for piece in word if piece[0] != '"'):
            addresses.append(_address(word))
        elif is_address(inner := "".join(map(_unquoted, word))) and not re.search(r"[\s<>,]", inner):
            addresses.append(inner)  # an address in quotes is all that some devices have in From
        else:
            names.append(inner)
    return addresses, names
