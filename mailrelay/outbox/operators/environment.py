"""The sender of the environment: the four mission variables as one sender that nobody has to make.

`migrate` and the relay bring its rows in line with their variables; the newest start wins, and mail that
waits follows it. The secret stays in the environment: only processes that have it deliver this mail.
"""

import logging
from collections.abc import Sequence
from itertools import count
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Manager, Q

from mailrelay.models import AppRegistration, Mailbox, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import configuration_holds, mailbox_choice
from mailrelay.vocabulary import CredentialKind, ManagedBy, Reason

log = logging.getLogger(__name__)

NAME = "environment"
#: What is known of the tokens of an application that was never asked for one.
NO_TOKEN: dict[str, Any] = {
    "token_expires_at": None,
    "token_succeeded_at": None,
    "token_failed_at": None,
    "token_refused": False,
    "token_error": "",
}
#: Any number: the key of the advisory lock that lets one process at a time do this.
LOCK = 0x6D61696C


def configured() -> bool:
    """Whether this process was given a sender and a credential for it."""
    return bool(settings.AZURE_TENANT_ID and settings.AZURE_CLIENT_ID and settings.SENDER_EMAIL)


def credential_kind() -> CredentialKind:
    """Return the credential that the variables ask for, the strongest first."""
    if settings.AZURE_CLIENT_CERTIFICATE_PATH:
        return CredentialKind.CERTIFICATE
    if settings.AZURE_FEDERATED_TOKEN_FILE:
        return CredentialKind.FEDERATED
    if settings.AZURE_CLIENT_SECRET or not settings.AZURE_USE_MANAGED_IDENTITY:
        return CredentialKind.SECRET
    return CredentialKind.MANAGED_IDENTITY


def after_migrate(plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Follow Django's post_migrate: the tables are there, unless migrations were taken back."""
    if not any(backwards for _, backwards in plan):
        upsert()


def upsert() -> None:
    """Bring the environment's registration, mailbox and sender in line with this process's variables."""
    write(Move.REGISTER, _upsert if configured() else _deactivate)


def _upsert() -> None:
    _exclusive()
    registration = _registration()
    mailbox, _ = Mailbox.objects.get_or_create(
        registration=registration, address=settings.SENDER_EMAIL.lower()
    )
    Mailbox.objects.filter(pk=mailbox.pk).update(
        user_id=settings.SENDER_MAILBOX,
        concurrency=settings.SENDER_CONCURRENCY,
        messages_per_minute=settings.SENDER_MESSAGES_PER_MINUTE,
    )
    others = SenderConfig.objects.filter(is_default=True).exclude(managed_by=ManagedBy.ENVIRONMENT)
    sender, _ = SenderConfig.objects.update_or_create(
        managed_by=ManagedBy.ENVIRONMENT,
        defaults={
            "name": _name(SenderConfig.objects),
            "mailbox": mailbox,
            "is_default": not others.exists(),
            "from_policy": settings.SENDER_FROM_POLICY,
            "uncertain_policy": settings.SENDER_UNCERTAIN_POLICY,
            "large_mail": settings.SENDER_LARGE_MAIL,
            "large_text": settings.SENDER_LARGE_TEXT,
            "invitations": settings.SENDER_INVITATIONS,
            "own_message_ids": settings.SENDER_OWN_MESSAGE_IDS,
            "redirect_all_to": settings.SENDER_REDIRECT_ALL_TO,
            "active": True,
        },
    )
    moved = mailbox_choice.move_waiting(sender)
    if moved:
        log.info("%d waiting deliveries follow the environment to its new mailbox", moved)
    Mailbox.objects.filter(pk=mailbox.pk).update(wake_at=clock.now())


def _name(rows: Manager[Any]) -> str:
    """Choose the first name of ours that no row of somebody else's has."""
    taken = set(rows.exclude(managed_by=ManagedBy.ENVIRONMENT).values_list("name", flat=True))
    return next(
        name for number in count(1) if (name := f"{NAME}-{number}" if number > 1 else NAME) not in taken
    )


def _registration() -> AppRegistration:
    """Write the registration, and let what the variables may have put right be tried now.

    A pause that Microsoft asked for lasts, unless the application is another. That is another version: its
    tokens are others. A start with the same variables leaves the version, so that a token outlives it while
    Entra ID is down.
    """
    row, _ = AppRegistration.objects.get_or_create(
        managed_by=ManagedBy.ENVIRONMENT, defaults={"name": _name(AppRegistration.objects), "version": 0}
    )
    identity = {
        "tenant_id": settings.AZURE_TENANT_ID,
        "client_id": settings.AZURE_CLIENT_ID,
        "authority_host": settings.AZURE_AUTHORITY_HOST,
        "graph_endpoint": settings.GRAPH_ENDPOINT,
        "kind": credential_kind(),
        "certificate_path": settings.AZURE_CLIENT_CERTIFICATE_PATH,
        "token_file": settings.AZURE_FEDERATED_TOKEN_FILE,
    }
    mine = AppRegistration.objects.filter(pk=row.pk)
    another = any(getattr(row, name) != value for name, value in identity.items())
    if another:
        mine.update(**identity, **NO_TOKEN, version=row.version + 1)
    mine.update(active=True, secret_expires_on=settings.AZURE_CLIENT_SECRET_EXPIRES)
    fixable = ~Q(failing=Reason.NONE) if another else Q(failing__in=configuration_holds.OF_REGISTRATION)
    mine.filter(fixable).update(retry_at=clock.now())
    Mailbox.objects.filter(registration=row).exclude(blocked=Reason.NONE).update(probe_at=clock.now())
    return row


def _deactivate() -> None:
    _exclusive()
    if SenderConfig.objects.filter(managed_by=ManagedBy.ENVIRONMENT, active=True).update(
        active=False, is_default=False
    ):
        log.warning("the environment names no sender any more: its mail is held until it does again")


def _exclusive() -> None:
    """Let one process at a time pass, until the end of the transaction. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
