"""Applying a file: the database is brought in line with it in one transaction, wholly or not at all."""

from collections.abc import Iterator

from mailrelay.configuration import apps
from mailrelay.configuration.document import Document, Entry
from mailrelay.configuration.plan import Action, Step, step
from mailrelay.configuration.rows import (
    columns_of,
    differences,
    refuse_environment,
    registration_of,
    write_row,
)
from mailrelay.configuration.schema import ALL_CLIENTS, APPS, CLIENTS, MAILBOXES, SENDERS
from mailrelay.models import AppRegistration, ClientDefaults, Mailbox, SenderConfig, SmtpClient
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.operators import registrations
from mailrelay.routing import fallbacks
from mailrelay.vocabulary import ManagedBy


class _DryRunError(Exception):
    """Undoes the transaction of a dry run, and carries its plan out."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps


def apply(document: Document, *, prune: bool = False, dry_run: bool = False) -> list[Step]:
    """Bring the database in line with `document` and return what that came to.

    `prune` deactivates what the sections of the file lack; `dry_run` undoes everything in the end. Rows of
    the environment are never touched. Raises ConfigurationError, and OutboxError when the database is at
    fault; then nothing was changed.
    """

    def run() -> list[Step]:
        steps = list(_steps(document))
        if prune:
            steps += _prune(document)
        if dry_run:
            raise _DryRunError(steps)
        return steps

    try:
        return write(Move.REGISTER, run)
    except _DryRunError as done:
        return done.steps


def _steps(document: Document) -> Iterator[Step]:
    for entry in document.entries(APPS):
        yield apps.apply(entry)
    for entry in document.entries(MAILBOXES):
        yield _mailbox(entry)
    yield from _free_default(document)
    for entry in document.entries(SENDERS):
        yield from _sender(entry)
    for entry in document.entries(SENDERS):
        yield from _fallback(entry)
    for entry in document.entries(CLIENTS):
        yield _client(entry)
    for entry in document.entries(ALL_CLIENTS):
        yield _all_clients(entry)


def _mailbox(entry: Entry) -> Step:
    registration, address = registration_of(entry), entry.identity[1]
    if registration.managed_by == ManagedBy.ENVIRONMENT:
        raise entry.items["app"].error(
            "the mailboxes of the environment's app have their limits from SENDER_CONCURRENCY and "
            "SENDER_MESSAGES_PER_MINUTE."
        )
    row = Mailbox.objects.filter(registration=registration, address=address).first()
    row = row or Mailbox(registration=registration, address=address)
    created, columns = row.pk is None, columns_of(entry, row)
    details = differences(MAILBOXES, columns, row)
    write_row(row, columns)
    if details:
        registrations.try_now(row)
    return step(MAILBOXES, f"{address} of {registration.name}", details, created=created)


def _free_default(document: Document) -> Iterator[Step]:
    """Take the default mark from the sender that has it, where the file gives it to another."""
    senders = document.entries(SENDERS)
    chosen = next((entry for entry in senders if entry.columns.get("is_default")), None)
    if chosen is None:
        return
    name = chosen.identity[0]
    for row in SenderConfig.objects.filter(is_default=True).exclude(name=name):
        if row.managed_by == ManagedBy.ENVIRONMENT:
            raise chosen.items["default"].error(
                "the environment's sender is the default. Take SENDER_EMAIL and the AZURE_ variables out of "
                "the environment and restart, or leave this key out."
            )
        SenderConfig.objects.filter(pk=row.pk).update(is_default=False)
        yield Step(Action.CHANGE, f"sender {row.name}", (f"default true → false, since {name} has it now",))


def _sender(entry: Entry) -> Iterator[Step]:
    registration, address = registration_of(entry), entry.text("mailbox").lower()
    mailbox, made = Mailbox.objects.get_or_create(registration=registration, address=address)
    if made:
        yield Step(Action.CREATE, f"mailbox {address} of {registration.name}")
    row = SenderConfig.objects.filter(name=entry.identity[0]).select_related("mailbox").first()
    refuse_environment(entry, row)
    row = row or SenderConfig(name=entry.identity[0], mailbox=mailbox)
    created, before, columns = row.pk is None, row.mailbox, columns_of(entry, row)
    details = differences(SENDERS, columns, row)
    write_row(row, columns | {"mailbox": mailbox})
    if before != mailbox:
        moved = registrations.follow_mailbox(row)
        details.append(f"mailbox {before.address} → {address}, and {moved} waiting deliveries follow")
    yield step(SENDERS, row.name, details, created=created)


def _fallback(entry: Entry) -> Iterator[Step]:
    """Let a sender fall back on another, once all senders of the file are there."""
    if "fallback" not in entry.items:
        return
    row = SenderConfig.objects.select_related("fallback").get(name=entry.identity[0])
    before, name = row.fallback, entry.text("fallback")
    row.fallback = SenderConfig.objects.filter(name=name).first() if name else None
    if name and row.fallback is None:
        raise entry.items["fallback"].error(f"there is no sender named {name!r}.")
    if row.fallback is not None and (why := fallbacks.problem(row, row.fallback)):
        raise entry.items["fallback"].error(f"{name} {why}")
    if before != row.fallback:
        row.save(update_fields=["fallback"])
        detail = f"fallback {before.name if before else 'nothing'} → {name or 'nothing'}"
        yield Step(Action.CHANGE, f"sender {row.name}", (detail,))


def _client(entry: Entry) -> Step:
    name = entry.identity[0]
    row = SmtpClient.objects.filter(name=name).first() or SmtpClient(name=name)
    created, columns = row.pk is None, columns_of(entry, row)
    details = differences(CLIENTS, columns, row)
    write_row(row, columns)
    return step(CLIENTS, name, details, created=created)


def _all_clients(entry: Entry) -> Step:
    row = ClientDefaults.objects.order_by("pk").first() or ClientDefaults()
    details = differences(ALL_CLIENTS, entry.columns, row)
    write_row(row, entry.columns)
    return step(ALL_CLIENTS, "all clients", details, created=False)


def _prune(document: Document) -> Iterator[Step]:
    """Deactivate what the sections that the file has do not name; a section that it lacks is left alone."""
    if SENDERS.name in document.sections:
        senders = SenderConfig.objects.exclude(name__in=_names(document.entries(SENDERS)))
        for sender in senders.filter(active=True).exclude(managed_by=ManagedBy.ENVIRONMENT).order_by("name"):
            write_row(sender, {"active": False, "is_default": False})
            yield Step(Action.DEACTIVATE, f"sender {sender.name}")
    if APPS.name in document.sections:
        used = {entry.text("app") for entry in (*document.entries(MAILBOXES), *document.entries(SENDERS))}
        registered = AppRegistration.objects.exclude(name__in=_names(document.entries(APPS)) | used)
        registered = registered.filter(active=True).exclude(managed_by=ManagedBy.ENVIRONMENT)
        for app in registered.defer(*apps.SECRETS).order_by("name"):
            write_row(app, {"active": False})
            yield Step(Action.DEACTIVATE, f"app {app.name}")
    if CLIENTS.name in document.sections:
        clients = SmtpClient.objects.exclude(name__in=_names(document.entries(CLIENTS)))
        for client in clients.filter(active=True).order_by("name"):
            write_row(client, {"active": False})
            yield Step(Action.DEACTIVATE, f"client {client.name}")


def _names(entries: list[Entry]) -> set[str]:
    return {entry.identity[0] for entry in entries}
