"""All screens, registered by being imported. Only the web imports this: other processes need no admin."""

from mailrelay.console import (
    alerts,
    api_tokens,
    audit_list,
    clients,
    mailboxes,
    messages,
    people,
    refusals,
    registrations,
    senders,
    workers,
)
from mailrelay.console.site import site

__all__ = [
    "alerts",
    "api_tokens",
    "audit_list",
    "clients",
    "mailboxes",
    "messages",
    "people",
    "refusals",
    "registrations",
    "senders",
    "site",
    "workers",
]
