"""All screens, registered by being imported. Only the web imports this: other processes need no admin."""

from mailrelay.console import (
    audit_list,
    clients,
    mailboxes,
    messages,
    people,
    registrations,
    senders,
    workers,
)
from mailrelay.console.site import site

__all__ = [
    "audit_list",
    "clients",
    "mailboxes",
    "messages",
    "people",
    "registrations",
    "senders",
    "site",
    "workers",
]
