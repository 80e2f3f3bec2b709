"""The file as entries: every key known, every value of its kind, every reference to a secret resolved."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailrelay.configuration import secrets, values
from mailrelay.configuration.reading import ConfigurationError, Item, read
from mailrelay.configuration.schema import SECTIONS, SENDERS, Section


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a section. `columns` are only those that the file names; so are `secrets`, when given."""

    item: Item
    items: dict[str, Item]
    identity: tuple[str, ...]
    columns: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)

    def text(self, key: str) -> str:
        return self.items[key].text()


@dataclass(frozen=True, slots=True)
class Document:
    """The sections that the file has; one that it lacks says nothing, one that is empty says "none"."""

    sections: dict[str, list[Entry]]

    def entries(self, section: Section) -> list[Entry]:
        return self.sections.get(section.name, [])


def load(path: Path) -> Document:
    """Read the file at `path`. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text.") from None
    return parse(text, str(path), path.parent)


def parse(text: str, file: str, folder: Path) -> Document:
    """Read `text`; secrets in files are looked for from `folder`. Raises ConfigurationError."""
    top = read(text, file).mapping(section.name for section in SECTIONS)
    sections = {
        section.name: [_entry(section, item, folder) for item in _items(section, top[section.name])]
        for section in SECTIONS
        if section.name in top
    }
    for entries in sections.values():
        _refuse_twins(entries)
    _refuse_shared(sections.get(SENDERS.name, []))
    return Document(sections)


def _items(section: Section, item: Item) -> list[Item]:
    return [item] if section.single else item.sequence()


def _entry(section: Section, item: Item, folder: Path) -> Entry:
    items = item.mapping(section.known)
    missing = [key for key in section.required if key not in items]
    if missing:
        raise item.error(f"lacks {' and '.join(missing)}.")
    columns: dict[str, Any] = {}
    given: dict[str, str] = {}
    for name, key in section.keys.items():
        if name in items and key.secret:
            secret = secrets.read(items[name], folder, key.column)
            given |= {} if secret is None else {key.column: secret}
        elif name in items:
            columns[key.column] = key.read(items[name])
    return Entry(item, items, _identity(section, items), columns, given)


def _identity(section: Section, items: dict[str, Item]) -> tuple[str, ...]:
    """Give what makes an entry one and the same; its texts are checked on the way."""
    if "name" in section.required:
        if "mailbox" in items:
            values.mailbox_address(items["mailbox"])
        return (_named(items["name"]),)
    if section.single:
        return (section.name,)
    return (_named(items["app"]), values.mailbox_address(items["address"]))


def _named(item: Item) -> str:
    text = item.text()
    if not text or len(text) > 200:
        raise item.error("must be a name of 1 to 200 characters.")
    return text


def _refuse_twins(entries: Iterable[Entry]) -> None:
    seen: set[tuple[str, ...]] = set()
    for entry in entries:
        if entry.identity in seen:
            raise entry.item.error(f"{' '.join(entry.identity)} stands in this list twice.")
        seen.add(entry.identity)


def _refuse_shared(senders: list[Entry]) -> None:
    """Refuse what would make the choice of a sender a matter of chance: two defaults, two for one address."""
    taken: dict[str, str] = {}
    for entry in senders:
        own = [f"{word}" for key in ("addresses", "domains") for word in entry.columns.get(key, "").split()]
        for claim in [*own, *(["default: true"] if entry.columns.get("is_default") else [])]:
            other = taken.setdefault(claim, entry.identity[0])
            if other != entry.identity[0]:
                raise entry.item.error(f"{claim} is the sender {other}'s already.")
