"""Values of the file: what each may be, with the sentence for what it may not."""

from collections.abc import Callable, Iterable
from datetime import date
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from gateway import texts
from gateway.env import LOOPBACK_NETWORKS, PRIVATE_NETWORKS
from mailrelay.configuration.reading import Item
from mailrelay.models import written

T = TypeVar("T")

SHORTHANDS = {"private": PRIVATE_NETWORKS, "loopback": LOOPBACK_NETWORKS}


def tenant(item: Item) -> str:
    return _read(item, written.tenant)


def client_id(item: Item) -> str:
    return _read(item, written.client_id)


def origin(item: Item) -> str:
    return _read(item, written.https_origin)


def address(item: Item) -> str:
    """Read an address, in lower case: it is compared with others."""
    return _read(item, written.address)


def address_or_nothing(item: Item) -> str:
    return address(item) if item.text() else ""


def addresses(item: Item) -> str:
    return _lines(address(entry) for entry in item.sequence())


def domains(item: Item) -> str:
    return _lines(_read(entry, written.domain) for entry in item.sequence())


def domain_or_nothing(item: Item) -> str:
    return _read(item, written.domain) if item.text() else ""


def aliases(item: Item) -> dict[str, list[str]]:
    """Read names, each with the address or the list of addresses that it stands for."""
    found: dict[str, list[str]] = {}
    for name, value in item.entries():
        targets = value.sequence() if value.is_sequence() else [value]
        text = f"{name}: {' '.join(target.text() for target in targets)}"
        try:
            found |= texts.aliases(text)
        except ValueError as problem:
            raise value.error(f"{problem}.") from None
    return found


def patterns(item: Item) -> str:
    """Read addresses and @domains."""
    return _lines(_read(entry, written.pattern) for entry in item.sequence())


def cidrs(item: Item) -> str:
    """Read networks; the words `private` and `loopback` become the networks that they stand for."""
    return _lines(network for entry in item.sequence() for network in _read(entry, _networks))


def _networks(text: str) -> list[str]:
    """Read networks with commas between them."""
    words = (word.strip() for word in text.split(","))
    parts = (part for word in words if word for part in SHORTHANDS.get(word, (word,)))
    return [str(written.network(part)) for part in parts]


def _read(item: Item, read: Callable[[str], T]) -> T:
    try:
        return read(item.text())
    except ValueError as problem:
        raise item.error(str(problem)) from None


def of_field(item: Item, field: "models.Field[object, object]") -> object:
    """Read what a model's field takes, as its type, its choices and its validators say."""
    value: object
    if isinstance(field, models.BooleanField):
        value = item.flag()
    elif isinstance(field, models.DateField):
        value = item.day() or None
    elif isinstance(field, models.IntegerField) and not field.choices:
        value = None if field.null and item.is_nothing() else item.integer()
    else:
        value = _chosen(item, field) if field.choices else item.text()
    try:
        return field.clean(value, None)
    except ValidationError as error:
        raise item.error(" ".join(error.messages)) from None


def _chosen(item: Item, field: "models.Field[object, object]") -> object:
    """Read one of the words of a field with choices; numbers are named by their words."""
    words = {str(label if isinstance(value, int) else value): value for value, label in field.flatchoices}
    text = item.text()
    if text not in words and not (field.null and not text):
        raise item.error(f"{text!r} is none of {', '.join(words)}.")
    return words.get(text)


def shown(value: object, field: "models.Field[object, object]") -> object:
    """Give a column's value as the file has it."""
    if field.choices and isinstance(value, int):
        return dict(field.flatchoices)[value]
    return value.isoformat() if isinstance(value, date) else value


def _lines(values: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(values))
