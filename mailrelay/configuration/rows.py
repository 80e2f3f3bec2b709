"""Entries and rows: what differs between them, and how a row takes what its entry says."""

from typing import Any

from django.db import models

from mailrelay.configuration.document import Entry
from mailrelay.configuration.schema import LISTS, Section
from mailrelay.models import AppRegistration, SenderConfig
from mailrelay.vocabulary import ManagedBy


def columns_of(entry: Entry, row: models.Model) -> dict[str, Any]:
    """Give the columns that `entry` sets: what it does not name stays, but what it names is active."""
    columns = dict(entry.columns)
    if hasattr(row, "active"):
        columns.setdefault("active", True)
    if hasattr(row, "managed_by"):
        columns["managed_by"] = ManagedBy.FILE
    return columns


def differences(section: Section, columns: dict[str, Any], row: models.Model) -> list[str]:
    """Say what of `columns` is not so in `row` yet."""
    names = {key.column: key.name for key in section.keys.values()} | {"managed_by": "managed by"}
    changed = {
        column: value
        for column, value in columns.items()
        if column in names and getattr(row, column) != value
    }
    return [
        f"{names[column]} {_change(column, getattr(row, column), value)}" for column, value in changed.items()
    ]


def _change(column: str, old: Any, new: Any) -> str:
    if isinstance(new, dict):
        old, new = (
            "\n".join(f"{name}:{','.join(those)}" for name, those in each.items()) for each in (old, new)
        )
    elif column not in LISTS:
        return f"{_shown(old)} → {_shown(new)}"
    before, after = str(old).split(), str(new).split()
    gone = [f"-{word}" for word in before if word not in after]
    come = [f"+{word}" for word in after if word not in before]
    return " ".join([*gone, *come]) or "in another order"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value in {"", None} else str(value)


def write_row(row: models.Model, columns: dict[str, Any]) -> None:
    """Save `columns` and nothing else of a row that exists: the rest of it may move at this moment."""
    created = row.pk is None
    for column, value in columns.items():
        setattr(row, column, value)
    row.save(update_fields=None if created else list(columns))


def refuse_environment(entry: Entry, row: AppRegistration | SenderConfig | None) -> None:
    """Raise ConfigurationError for an entry that has the name of the environment's own row."""
    if row is not None and row.managed_by == ManagedBy.ENVIRONMENT:
        raise entry.items["name"].error(
            f"{row.name} comes from the variables of the environment and is changed there; choose another."
        )


def registration_of(entry: Entry) -> AppRegistration:
    """Find the app that `entry` names, which the file may have made a moment ago."""
    name = entry.text("app")
    row = AppRegistration.objects.defer("secret", "certificate_password").filter(name=name).first()
    if row is None:
        known = ", ".join(AppRegistration.objects.order_by("name").values_list("name", flat=True)[:20])
        raise entry.items["app"].error(f"there is no app named {name!r}. There is: {known or 'none at all'}.")
    return row
