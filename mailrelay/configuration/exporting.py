"""The configuration as a file that `config apply` takes; secrets are not in it."""

from collections.abc import Iterator
from typing import Any

import yaml
from django.db import models
from django.db.models import Q

from mailrelay.configuration.apps import SECRETS
from mailrelay.configuration.schema import ALL_CLIENTS, APPS, CLIENTS, MAILBOXES, SENDERS, Section
from mailrelay.configuration.secrets import KEEP
from mailrelay.models import AppRegistration, ClientDefaults, Mailbox, SenderConfig, SmtpClient
from mailrelay.vocabulary import ManagedBy

HEADING = """\
# Senders, app registrations, mailboxes and SMTP clients: manage.py config apply FILE
# Secrets are not here. `keep` leaves the stored one; {env: NAME} and {file: PATH} give a new one.
# What comes from the variables of the environment is not here either.
"""


def export() -> str:
    """Write every row that the environment does not own. No secret is read for it."""
    lists = {
        APPS.name: _apps(),
        MAILBOXES.name: _mailboxes(),
        SENDERS.name: _senders(),
        CLIENTS.name: _clients(),
    }
    document: dict[str, object] = {name: list(entries) for name, entries in lists.items()}
    body = yaml.safe_dump(
        document | _all_clients(),
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return f"{HEADING}\n{body}"


def _apps() -> Iterator[dict[str, Any]]:
    rows = AppRegistration.objects.exclude(managed_by=ManagedBy.ENVIRONMENT).defer(*SECRETS).order_by("name")
    stored = {column: set(rows.filter(~Q(**{column: ""})).values_list("pk", flat=True)) for column in SECRETS}
    for row in rows:
        kept = {column: KEEP for column in SECRETS if row.pk in stored[column]}
        yield {"name": row.name, **_keys(APPS, row), **kept}


def _mailboxes() -> Iterator[dict[str, Any]]:
    rows = Mailbox.objects.exclude(registration__managed_by=ManagedBy.ENVIRONMENT)
    ordered = rows.select_related("registration").defer(*_of("registration"))
    for row in ordered.order_by("registration__name", "address"):
        yield {"app": row.registration.name, "address": row.address, **_keys(MAILBOXES, row)}


def _senders() -> Iterator[dict[str, Any]]:
    rows = SenderConfig.objects.exclude(managed_by=ManagedBy.ENVIRONMENT)
    ordered = rows.select_related("mailbox__registration", "fallback").defer(*_of("mailbox__registration"))
    for row in ordered.order_by("name"):
        way = {"app": row.mailbox.registration.name, "mailbox": row.mailbox.address}
        after = {"fallback": row.fallback.name} if row.fallback is not None else {}
        yield {"name": row.name, **way, **_keys(SENDERS, row), **after}


def _clients() -> Iterator[dict[str, Any]]:
    for row in SmtpClient.objects.order_by("name"):
        yield {"name": row.name, **_keys(CLIENTS, row)}


def _all_clients() -> dict[str, object]:
    row = ClientDefaults.objects.order_by("pk").first()
    keys = _keys(ALL_CLIENTS, row) if row is not None else {}
    return {ALL_CLIENTS.name: keys} if keys else {}


def _of(relation: str) -> list[str]:
    return [f"{relation}__{column}" for column in SECRETS]


def _keys(section: Section, row: models.Model) -> dict[str, Any]:
    """Give the keys of a row that say something; required ones always."""
    shown = {name: key.show(getattr(row, key.column)) for name, key in section.keys.items() if not key.secret}
    return {
        name: value
        for name, value in shown.items()
        if name in section.required or not (value is None or value in ("", [], {}))
    }
