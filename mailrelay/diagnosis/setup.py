"""Configuration: the system checks, and the senders that there are."""

from collections.abc import Iterator

from django.core import checks

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.models import SenderConfig

CHECK = Check("configuration")


def environment() -> Iterator[Finding]:
    """Report what `manage.py check` has to say about the variables."""
    found = checks.run_checks()
    for message in found:
        make = CHECK.problem if message.is_serious() else CHECK.warning
        yield make(f"{message.msg} ({message.id})", str(message.hint or ""))
    if not any(message.is_serious() for message in found):
        yield CHECK.ok("Every variable can be used as it is set.")


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
