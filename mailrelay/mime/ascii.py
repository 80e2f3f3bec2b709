"""Header fields with bytes beyond ASCII, or lines too long, written as standards before SMTPUTF8 ask for."""

import re
from itertools import groupby
from urllib.parse import quote

from mailrelay.mime.addresses import Group, Mailbox, fold_list, format_mailbox, read_list
from mailrelay.mime.contenttype import is_readable, parameter, parse_content_type, parse_disposition
from mailrelay.mime.envelope import LIST_LIMIT
from mailrelay.mime.headers import Field, HeaderBlock, make_field
from mailrelay.mime.lines import fold_lines, has_long_line
from mailrelay.mime.mailbox import fold, format_group, is_writable
from mailrelay.mime.words import decode_words, encode_words

__all__ = ["encode_fields"]

_ADDRESS_FIELDS = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-reply-to"}
    | {"x-resent-to", "x-resent-cc", "disposition-notification-to", "return-receipt-to", "errors-to"}
)
#: Identifiers in angle brackets (RFC 5322 section 3.6.4), words beside them.
_IDENTIFIER_FIELDS = frozenset(
    {"message-id", "resent-message-id", "in-reply-to", "references", "content-id", "list-id"}
)
#: Addresses of pages (RFC 2369).
_PAGE_FIELDS = frozenset(
    {"list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"}
)
_TEXT_FIELDS = frozenset(
    {"subject", "comments", "keywords", "content-description", "thread-topic", "organization"}
)
_IDENTIFIER = re.compile("[<>@]")
_PRINTABLE = "\t " + "".join(map(chr, range(33, 127)))
#: What stays in an extended value as it came (RFC 2231 section 7).
_EXTENDED = "%'!#$&+-.^_`{|}~"
#: Characters of a parameter's value in one line, and the pieces of a longer one; no escape is torn apart.
MOST_IN_LINE = 700
_WHOLE = re.compile(r"(?:%[0-9A-F]{2}|[^%]){1,60}")
_PARAMETER_FIELDS = frozenset({"content-type", "content-disposition"})


def encode_fields(headers: HeaderBlock) -> int:
    """Encode every field with raw 8-bit text, and fold every one with a line over 998 octets; how many.

    Text becomes encoded words (RFC 2047), parameters become extended parameters (RFC 2231). No encoded
    word may stand in an identifier or a page's address: these are percent-encoded (RFC 3986), as `cid:` URLs
    are. Addresses of people stay UTF-8 (RFC 6532): nothing else says them.
    """
    count = 0
    for number, field in enumerate(headers.fields):
        made = field if field.raw.isascii() else make_field(field.name, _value(field))
        made = _folded(made) if has_long_line(made.raw) else made
        if made.raw != field.raw:
            headers.fields[number] = made
            count += 1
    return count


def _folded(field: Field) -> Field:
    """Fold a field where it has white space; else write it in shorter words, if its kind can be."""
    folded = Field(field.name, fold_lines(field.raw))
    if not has_long_line(folded.raw):
        return folded
    value = _shorter(field)
    return make_field(field.name, value) if value else folded


def _shorter(field: Field) -> str:
    if field.key in _PARAMETER_FIELDS:
        return _parameters(field.name, field.value)
    if field.key in _ADDRESS_FIELDS and len(field.raw) <= LIST_LIMIT:
        return _addresses(field.name, field.value)
    if field.key in _IDENTIFIER_FIELDS:
        return fold(field.name, field.value.replace("><", "> <").split(" "))
    if field.key in _TEXT_FIELDS or field.key.startswith("x-"):
        return fold(field.name, encode_words(decode_words(field.value)))
    return ""


def _value(field: Field) -> str:
    if field.key in _PARAMETER_FIELDS:
        return _parameters(field.name, field.value)
    if field.key in _ADDRESS_FIELDS and len(field.raw) <= LIST_LIMIT:
        return _addresses(field.name, field.value)
    if field.key in _IDENTIFIER_FIELDS:
        return _identifiers(field.name, field.value)
    if field.key in _PAGE_FIELDS:
        return fold(field.name, quote(field.value, safe=_PRINTABLE).split(" "))
    return _text(field.name, field.value)


def _text(name: str, value: str) -> str:
    """Encode from the first to the last word beyond ASCII; what stands around them stays as it is."""
    if "=?" in value:  # readers drop the space between two encoded words (RFC 2047 section 6.2)
        return fold(name, encode_words(decode_words(value)))
    words = value.split(" ")
    beyond = [number for number, word in enumerate(words) if not word.isascii()]
    first, last = beyond[0], beyond[-1] + 1
    return fold(name, [*words[:first], *encode_words(" ".join(words[first:last])), *words[last:]])


def _identifiers(name: str, value: str) -> str:
    """Encode what stands between identifiers: `Your mail <1@example.org>` was a reference once."""
    words: list[str] = []
    for kept, run in groupby(value.split(" "), _is_kept):
        text = " ".join(run)
        words += quote(text, safe=_PRINTABLE).split(" ") if kept else encode_words(text)
    return fold(name, words)


def _is_kept(word: str) -> bool:
    return word.isascii() or bool(_IDENTIFIER.search(word))


def _addresses(name: str, value: str) -> str:
    entries = [entry for item in read_list(value).items for entry in _entries(item)]
    return fold_list(name, entries) if entries else _text(name, value)


def _entries(item: Mailbox | Group) -> list[str]:
    if isinstance(item, Group):
        return format_group(item.name, [entry for member in item.members for entry in _entries(member)])
    return [format_mailbox(item.display, item.address)] if is_writable(item.address) else []


def _parameters(name: str, value: str) -> str:
    kind, parameters = _kind_and_parameters(name, value)
    words = [kind.encode("ascii", "ignore").decode().strip()]
    families: dict[str, dict[str, str]] = {}
    for key, text in parameters.items():
        if key.isascii():
            families.setdefault(key.partition("*")[0], {})[key] = text
    for wanted, family in families.items():
        words += _family(wanted, family)
    return fold(name, [f"{word};" for word in words[:-1]] + words[-1:])


def _kind_and_parameters(name: str, value: str) -> tuple[str, dict[str, str]]:
    """What stands before the parameters, and they; a word for it where it is missing."""
    if name.lower() == "content-disposition":
        kind, parameters = parse_disposition(value)
        return kind or "attachment", parameters
    parsed = parse_content_type(value)
    first = value.partition(";")[0]
    return parsed.name if is_readable(value) or "=" in first else first, parsed.parameters


def _family(name: str, family: dict[str, str]) -> list[str]:
    """A parameter in all its forms: a raw one gives way to an extended one, or becomes it."""
    extended = [text for key, text in family.items() if "*" in key]
    clean = {key: text for key, text in family.items() if text.isascii()}
    short = all(len(text) <= MOST_IN_LINE for text in family.values())
    if short and (clean == family or (extended and all(map(str.isascii, extended)))):
        return [_written(key, text) for key, text in clean.items()]
    return _extended(name, decode_words(parameter(family, name)))


def _extended(name: str, text: str) -> list[str]:
    """A parameter in UTF-8, continued where one line could not have it (RFC 2231 sections 3 and 4)."""
    value = f"utf-8''{quote(text, safe='')}"
    if len(value) <= MOST_IN_LINE:
        return [f"{name}*={value}"]
    pieces = _WHOLE.findall(value)
    return [f"{name}*{number}*={piece}" for number, piece in enumerate(pieces)]


def _written(key: str, text: str) -> str:
    if key.endswith("*"):  # no quotes: RFC 2231 section 7
        return f"{key}={quote(text, safe=_EXTENDED)}"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'
