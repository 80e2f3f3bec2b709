"""Values of the file: what each may be, with the sentence for what it may not."""

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from mailrelay import parsing
from mailrelay.configuration.reading import Item
from mailrelay.models.numbers import bounds

T = TypeVar("T")


def tenant(item: Item) -> str:
    return _read(item, parsing.tenant)


def client_id(item: Item) -> str:
    return _read(item, parsing.client_id)


def origin(item: Item) -> str:
    return _read(item, parsing.https_origin)


def address(item: Item) -> str:
    """Read an address, in lower case: it is compared with others."""
    return _read(item, parsing.address)


def address_or_nothing(item: Item) -> str:
    return address(item) if item.text() else ""


def mailbox_address(item: Item) -> str:
    return _read(item, parsing.mailbox_address)


def mailbox_key(item: Item) -> str:
    """Read what Graph finds a mailbox by, where that is not its address."""
    return _read(item, parsing.mailbox_key) if item.text() else ""


def addresses(item: Item) -> str:
    return _lines(address(entry) for entry in item.sequence())


def domains(item: Item) -> str:
    return _lines(_read(entry, parsing.domain) for entry in item.sequence())


def domain_or_nothing(item: Item) -> str:
    return _read(item, parsing.domain) if item.text() else ""


def aliases(item: Item) -> dict[str, list[str]]:
    """Read names, each with the address or the list of addresses that it stands for."""
    found: dict[str, list[str]] = {}
    for name, value in item.entries():
        targets = value.sequence() if value.is_sequence() else [value]
        text = f"{name}: {' '.join(target.text() for target in targets)}"
        try:
            found |= parsing.aliases(text)
        except ValueError as problem:
            raise value.error(str(problem)) from None
    return found


def patterns(item: Item) -> str:
    """Read addresses and @domains."""
    return _lines(_read(entry, parsing.pattern) for entry in item.sequence())


def cidrs(item: Item) -> str:
    """Read networks; the words `private` and `loopback` become the networks that they stand for."""
    return _lines(str(network) for entry in item.sequence() for network in _read(entry, parsing.networks))


def _read(item: Item, read: Callable[[str], T]) -> T:
    """Read a value by its text, as a variable has it: YAML may take it for a number, a day or a truth."""
    try:
        return read(item.scalar())
    except ValueError as problem:
        raise item.error(str(problem)) from None


def of_field(item: Item, field: "models.Field[object, object]") -> object:
    """Read what a model's field takes, as its type, its choices and its validators say."""
    value: object
    if isinstance(field, models.BooleanField):
        value = _read(item, parsing.flag)
    elif isinstance(field, models.DateField):
        value = _read(item, parsing.day) if item.scalar() else None
    elif isinstance(field, models.IntegerField) and not field.choices:
        least, most = bounds(field)
        number = partial(parsing.whole_number, least=least, most=most)
        value = None if field.null and item.is_nothing() else _read(item, number)
    else:
        value = _chosen(item, field) if field.choices else item.text()
    try:
        return field.clean(value, None)
    except ValidationError as error:
        raise item.error(" ".join(error.messages)) from None


def _chosen(item: Item, field: "models.Field[object, object]") -> object:
    """Read one of the words of a field with choices; numbers are named by their words."""
    words = {str(label if isinstance(value, int) else value): value for value, label in field.flatchoices}
    if field.null and not item.scalar():
        return None
    return words[_read(item, partial(parsing.one_of, choices=tuple(words)))]


def shown(value: object, field: "models.Field[object, object]") -> object:
    """Give a column's value as the file has it."""
    if field.choices and isinstance(value, int):
        return dict(field.flatchoices)[value]
    return value.isoformat() if isinstance(value, date) else value


def _lines(values: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(values))
