"""Values of the file: what each may be, with the sentence for what it may not."""

import re
from collections.abc import Iterable
from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

from gateway.env import networks as parse_networks
from mailrelay.configuration.reading import Item

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(?:\.(?!-)[\w-]{1,63})+")
ORIGIN = re.compile(r"https://[\w.-]+(:\d{1,5})?/?|https://\[[0-9a-fA-F:]+\](:\d{1,5})?/?")


def tenant(item: Item) -> str:
    text = item.text()
    if not GUID.fullmatch(text) and not DOMAIN.fullmatch(text):
        raise item.error(f"{text!r} is no tenant: write its directory id (a GUID) or one of its domains.")
    return text


def guid(item: Item) -> str:
    text = item.text()
    if not GUID.fullmatch(text):
        raise item.error(f"{text!r} is no application (client) id, which is a GUID such as 11111111-2222-….")
    return text


def origin(item: Item) -> str:
    text = item.text()
    if not ORIGIN.fullmatch(text):
        raise item.error(f"{text!r} is not an https address: write https://host, without a path.")
    return text.rstrip("/")


def address(item: Item) -> str:
    """Read an address, in lower case: it is compared with others."""
    text = item.text()
    if not _is_address(text):
        raise item.error(f"{text!r} is not an address: write user@example.org.")
    return text.lower()


def address_or_nothing(item: Item) -> str:
    return address(item) if item.text() else ""


def addresses(item: Item) -> str:
    return _lines(address(entry) for entry in item.sequence())


def domains(item: Item) -> str:
    return _lines(_domain(entry) for entry in item.sequence())


def patterns(item: Item) -> str:
    """Read addresses and @domains."""
    return _lines(
        f"@{_domain(entry)}" if entry.text().startswith("@") else address(entry) for entry in item.sequence()
    )


def cidrs(item: Item) -> str:
    """Read networks; the words `private` and `loopback` become the networks that they stand for."""
    found: list[str] = []
    for entry in item.sequence():
        try:
            found += map(str, parse_networks(entry.text()))
        except ValueError:
            raise entry.error(
                f"{entry.text()!r} is not a network: write it as 192.0.2.0/24, without host bits."
            ) from None
    return _lines(found)


def of_field(item: Item, field: "models.Field[object, object]") -> object:
    """Read what a model's field takes, as its type, its choices and its validators say."""
    value: object
    if isinstance(field, models.BooleanField):
        value = item.flag()
    elif isinstance(field, models.DateField):
        value = item.day() or None
    elif isinstance(field, models.IntegerField) and not field.choices:
        value = item.integer()
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


def _domain(item: Item) -> str:
    text = item.text().removeprefix("@").lower()
    if not DOMAIN.fullmatch(text):
        raise item.error(f"{text!r} is not a domain: write example.org.")
    return text


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _lines(values: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(values))
