"""Configuration: the system checks, and the senders that there are."""

import platform
from collections.abc import Iterator

from django.conf import settings
from django.core import checks

from gateway.checks import TAG
from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.mime import selftest
from mailrelay.models import SenderConfig
from mailrelay.outbox.operators import environment as own
from mailrelay.routing.loading import load
from mailrelay.vocabulary import ManagedBy

CHECK = Check("configuration")
PYTHON = Check("Python")
#: What a check of the variables alone says where senders may be in the database: `senders` knows better.
SENDERLESS = "gateway.W001"


def environment() -> Iterator[Finding]:
    """Report what `manage.py check` has to say about the variables."""
    found = [message for message in checks.run_checks(tags=[TAG]) if message.id != SENDERLESS]
    for message in found:
        make = CHECK.problem if message.is_serious() else CHECK.warning
        yield make(f"{message.msg} ({message.id})", str(message.hint or ""))
    if not any(message.is_serious() for message in found):
        yield CHECK.ok("Every variable can be used as it is set.")


def interpreter() -> Iterator[Finding]:
    """Report a Python that would mangle mail."""
    if wrong := selftest.misread():
        yield PYTHON.problem(wrong, selftest.ADVICE)
    else:
        yield PYTHON.ok(f"Python {platform.python_version()} reads mail as it must.")


def senders() -> Iterator[Finding]:
    """Report whether there is anybody to send as."""
    active = SenderConfig.objects.filter(active=True, mailbox__registration__active=True)
    names = list(active.order_by("name").values_list("name", flat=True)[:20])
    if not names:
        yield CHECK.problem(
            "There is no active sender: all mail is refused.",
            "Set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and SENDER_EMAIL and restart; or add "
            "an app registration, a mailbox and a sender in the admin or with `manage.py config apply FILE`.",
        )
        return
    yield CHECK.ok(f"Active senders: {', '.join(names)}.")
    if not active.filter(is_default=True).exists():
        yield CHECK.warning(
            "No active sender is the default: mail whose From no sender names is refused with 550 5.7.1.",
            "Mark one sender as default in the admin, or write `default: true` for it in the file that "
            "`manage.py config apply` takes.",
        )


def rows() -> Iterator[Finding]:
    """Report each sender and client with a value that this version does not know."""
    for row in load().unreadable:
        yield CHECK.problem(
            row,
            "Finish the update of all processes, or save the row again in the admin.",
        )


def agreement() -> Iterator[Finding]:
    """Report variables of this process that are not those of the gateway that started last."""
    rows = SenderConfig.objects.filter(managed_by=ManagedBy.ENVIRONMENT, active=True)
    row = rows.select_related("mailbox__registration").first()
    if row is None or not own.configured():
        return
    registration = row.mailbox.registration
    stored = {
        "AZURE_TENANT_ID": registration.tenant_id,
        "AZURE_CLIENT_ID": registration.client_id,
        "SENDER_EMAIL": row.mailbox.address,
        "SENDER_MAILBOX": row.mailbox.user_id,
    }
    differing = [name for name, value in stored.items() if getattr(settings, name).lower() != value.lower()]
    if differing:
        yield CHECK.warning(
            f"{' and '.join(differing)} of this process differ from those of the gateway that started last "
            f"({', '.join(stored[name] or 'empty' for name in differing)}); the latter are examined below.",
            "Give every process the same values and restart the relay: the newest start counts.",
        )
