"""The keys of the YAML file: four sections, and in each the fields of its model.

Keys follow the models, so that a limit which is added there can be set here without another line; what is
named or read differently in the file stands in the tables below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import models

from mailrelay.configuration import values
from mailrelay.configuration.reading import Item
from mailrelay.models import AppRegistration, ClientDefaults, Mailbox, SenderConfig, SmtpClient
from mailrelay.models.encrypted import EncryptedTextField

#: Columns whose name in the file is another.
NAMES = {"is_default": "default", "kind": "credential"}
#: How columns are read whose field alone does not say enough.
READERS: dict[str, Callable[[Item], object]] = {
    "tenant_id": values.tenant,
    "client_id": values.client_id,
    "authority_host": values.origin,
    "graph_endpoint": values.origin,
    "addresses": values.addresses,
    "domains": values.domains,
    "redirect_all_to": values.address_or_nothing,
    "user_id": values.mailbox_key,
    "networks": values.cidrs,
    "allowed_from": values.patterns,
    "allowed_recipients": values.patterns,
    "default_domain": values.domain_or_nothing,
    "aliases": values.aliases,
}
#: Columns that hold a value a line, and are a list in the file.
LISTS = ("addresses", "domains", "networks", "allowed_from", "allowed_recipients")
#: Columns that a section names itself, or that nobody sets.
OWN = ("id", "name", "address", "managed_by")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section."""

    name: str
    field: "models.Field[Any, Any]"

    @property
    def column(self) -> str:
        return self.field.name

    @property
    def secret(self) -> bool:
        return isinstance(self.field, EncryptedTextField)

    def read(self, item: Item) -> Any:
        reader = READERS.get(self.column)
        return reader(item) if reader else values.of_field(item, self.field)

    def show(self, value: Any) -> Any:
        return value.split() if self.column in LISTS else values.shown(value, self.field)


@dataclass(frozen=True)
class Section:
    """One list of the file. `required` are the keys that every entry needs, `singular` is for the plan."""

    name: str
    singular: str
    model: type[models.Model]
    required: tuple[str, ...]
    #: Keys that name another entry of the same list, and may be left out.
    links: tuple[str, ...] = ()
    #: Whether it is a mapping of its own, and no list of them.
    single: bool = False

    @property
    def keys(self) -> dict[str, Key]:
        fields = (field for field in self.model._meta.concrete_fields if field.editable)  # noqa: SLF001
        own = (field for field in fields if field.name not in OWN and not field.is_relation)
        keys = (Key(NAMES.get(field.name, field.name), field) for field in own)
        return {key.name: key for key in keys}

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.required, *(name for name in self.keys if name not in self.required), *self.links)


APPS = Section("apps", "app", AppRegistration, ("name", "tenant_id", "client_id"))
MAILBOXES = Section("mailboxes", "mailbox", Mailbox, ("app", "address"))
SENDERS = Section("senders", "sender", SenderConfig, ("name", "app", "mailbox"), ("fallback",))
CLIENTS = Section("clients", "client", SmtpClient, ("name",))
ALL_CLIENTS = Section("all_clients", "rules of", ClientDefaults, (), single=True)
SECTIONS = (APPS, MAILBOXES, SENDERS, CLIENTS, ALL_CLIENTS)
