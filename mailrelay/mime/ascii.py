"""Header fields with bytes beyond ASCII, written as standards older than SMTPUTF8 ask for."""

import re
from itertools import groupby
from urllib.parse import quote

from mailrelay.mime.addresses import Group, Mailbox, fold_list, format_mailbox, read_list
from mailrelay.mime.contenttype import is_readable, parameter, parse_content_type, parse_disposition
from mailrelay.mime.envelope import LIST_LIMIT
from mailrelay.mime.headers import Field, HeaderBlock, make_field
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
_IDENTIFIER = re.compile("[<>@]")
_PRINTABLE = "\t " + "".join(map(chr, range(33, 127)))
#: What stays in an extended value as it came (RFC 2231 section 7).
_EXTENDED = "%'!#$&+-.^_`{|}~"
_PARAMETER_FIELDS = frozenset({"content-type", "content-disposition"})


def encode_fields(headers: HeaderBlock) -> int:
    """Encode every field with raw 8-bit text; how many there were.

    Text becomes encoded words (RFC 2047), parameters become extended parameters (RFC 2231). No encoded
    word may stand in an identifier or a page's address: these are percent-encoded (RFC 3986), as `cid:` URLs
    are. Addresses of people stay UTF-8 (RFC 6532): nothing else says them.
    """
    count = 0
    for number, field in enumerate(headers.fields):
        if not field.raw.isascii():
            headers.fields[number] = _encoded(field)
            count += headers.fields[number] is not field
    return count


def _encoded(field: Field) -> Field:
    made = make_field(field.name, _value(field))
    return field if made.raw == field.raw else made


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
    if clean == family or (extended and all(map(str.isascii, extended))):
        return [_written(key, text) for key, text in clean.items()]
    return [f"{name}*=utf-8''{quote(decode_words(parameter(family, name)), safe='')}"]


def _written(key: str, text: str) -> str:
    if key.endswith("*"):  # no quotes: RFC 2231 section 7
        return f"{key}={quote(text, safe=_EXTENDED)}"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'
