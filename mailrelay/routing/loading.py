"""Loading the snapshot, and keeping the one in memory fresh: changes in the admin count within seconds."""

import ipaddress
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from django.conf import settings
from django.db import DatabaseError, connection

from mailrelay.models import ClientDefaults, SenderConfig, SmtpClient
from mailrelay.routing import backlog
from mailrelay.routing.directory import Client, Defaults, Directory, IPNetwork, Sender
from mailrelay.spelling import normalise
from mailrelay.vocabulary import FromPolicy, Invitations, LargeMail, LargeText, Reason, Urgency

#: Seconds between two looks at the configuration.
INTERVAL = 2.0
#: Seconds between two counts of what waits.
BACKLOG_INTERVAL = 10.0


def load() -> Directory:
    """Read senders and clients from the database."""
    configs = SenderConfig.objects.filter(active=True, mailbox__registration__active=True)
    senders = tuple(_sender(row) for row in configs.select_related("mailbox").order_by("pk"))
    clients = (_client(row) for row in SmtpClient.objects.filter(active=True).order_by("pk"))
    # Whether mail has nowhere to go is ours to mend: a client is told to come back.
    lacking = Reason.NONE if senders else Reason.CREDENTIAL_MISSING
    return Directory(senders, (*clients, environment_client()), lacking, defaults=defaults())


def environment_client() -> Client:
    """Return who SMTP_ALLOWED_NETWORKS lets in."""
    return Client(None, "SMTP_ALLOWED_NETWORKS", settings.SMTP_ALLOWED_NETWORKS)


def defaults() -> Defaults:
    """Return what holds for all clients: what people have entered, and the settings where they have not."""
    row = ClientDefaults.objects.order_by("pk").first() or ClientDefaults()
    minutes = row.repeat_minutes
    return Defaults(
        default_domain=row.default_domain or settings.SMTP_DEFAULT_DOMAIN,
        aliases=settings.SMTP_ALIASES | row.aliases,
        repeat_minutes=settings.SMTP_REPEAT_MINUTES if minutes is None else minutes,
    )


def _sender(row: SenderConfig) -> Sender:
    return Sender(
        id=row.pk,
        name=row.name,
        registration_id=row.mailbox.registration_id,
        mailbox_id=row.mailbox_id,
        mailbox_address=row.mailbox.address,
        addresses=row.address_list,
        domains=row.domain_list,
        is_default=row.is_default,
        from_policy=FromPolicy(row.from_policy),
        rewrite_signed=row.rewrite_signed,
        direct_limit=row.mailbox.direct_limit,
        max_size=row.mailbox.max_message_size,
        large_mail=LargeMail(row.large_mail),
        can_draft=row.mailbox.can_draft,
        invitations=Invitations(row.invitations),
        redirect_all_to=row.redirect_all_to,
        recipients_per_message=row.mailbox.recipients_per_message,
        large_text=LargeText(row.large_text),
        headers_rule=row.headers_rule,
    )


def _client(row: SmtpClient) -> Client:
    return Client(
        id=row.pk,
        name=row.name,
        networks=tuple(_networks(row.networks.split())),
        allowed_from=frozenset(map(normalise, row.allowed_from.split())),
        allowed_recipients=frozenset(map(normalise, row.allowed_recipients.split())),
        login=row.login,
        password_hash=row.password_hash,
        max_message_size=row.max_message_size,
        messages_per_minute=row.messages_per_minute,
        max_connections=row.max_connections,
        urgency=None if row.urgency is None else Urgency(row.urgency),
        default_domain=row.default_domain,
        aliases=row.aliases,
        repeat_minutes=row.repeat_minutes,
    )


def _networks(words: Iterable[str]) -> Iterable[IPNetwork]:
    for word in words:
        with suppress(ValueError):  # the admin refuses such a word; whatever else wrote it, it lets nobody in
            yield ipaddress.ip_network(word)


class Watch:
    """Keeps the newest snapshot in memory, read by a thread of its own."""

    def __init__(self) -> None:
        self._backlog = backlog.measure()
        self._counted = time.monotonic()
        self._directory = self._read()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)
        self._thread.start()

    def __call__(self) -> Directory:
        return self._directory

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(INTERVAL)

    def _read(self) -> Directory:
        if time.monotonic() - self._counted >= BACKLOG_INTERVAL:
            self._backlog = backlog.measure()
            self._counted = time.monotonic()
        return replace(load(), backlog=self._backlog)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self._directory = self._read()
            except DatabaseError:
                # The last configuration stays in force; readiness says that the database is away.
                connection.close()
        connection.close()
