"""Reading senders and clients from the database."""

import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.conf import settings

from mailrelay.address_forms import normalise
from mailrelay.database import first_line
from mailrelay.models import ClientDefaults, SenderConfig, SmtpClient
from mailrelay.routing.aliases import Aliases
from mailrelay.routing.table import Client, Defaults, IPNetwork, RoutingTable, Sender
from mailrelay.vocabulary import FromPolicy, Invitations, LargeMail, LargeText, Reason, Urgency, known_word

#: What a value raises that an older or newer version, or somebody with SQL, has written.
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)


def load() -> RoutingTable:
    """Read senders and clients from the database.

    A row with a value that this version does not know, as during a rolling update, is there and refused for
    now: without it, its mail would go by another sender, or by the rules of a wider network.
    """
    configs = SenderConfig.objects.filter(active=True, mailbox__registration__active=True)
    senders = tuple(_sender(row) for row in configs.select_related("mailbox").order_by("pk"))
    clients = (_client(row) for row in SmtpClient.objects.filter(active=True).order_by("pk"))
    # Whether mail has nowhere to go is our fault: a client is told to come back.
    lacking = Reason.NONE if senders else Reason.CREDENTIAL_MISSING
    rules, unreadable = _defaults()
    return RoutingTable(
        senders, (*clients, environment_client()), lacking, defaults=rules, unreadable_defaults=unreadable
    )


def environment_client() -> Client:
    """Return who SMTP_ALLOWED_NETWORKS lets in."""
    return Client(None, "SMTP_ALLOWED_NETWORKS", settings.SMTP_ALLOWED_NETWORKS)


def _defaults() -> tuple[Defaults, str]:
    """Return what holds for all clients: what people have entered, and the settings where they have not."""
    row = ClientDefaults.objects.order_by("pk").first() or ClientDefaults()
    try:
        return defaults_of(row), ""
    except UNREADABLE as error:
        return defaults_of(ClientDefaults()), first_line(error)


def defaults_of(row: ClientDefaults) -> Defaults:
    """Return what holds for all clients by `row`, and by the settings where it says nothing."""
    minutes = row.repeat_minutes
    return Defaults(
        default_domain=row.default_domain or settings.SMTP_DEFAULT_DOMAIN,
        aliases={**settings.SMTP_ALIASES, **_aliases(row.aliases)},
        repeat_minutes=settings.SMTP_REPEAT_MINUTES if minutes is None else minutes,
    )


def _sender(row: SenderConfig) -> Sender:
    known = Sender(
        id=row.pk,
        name=row.name,
        registration_id=row.mailbox.registration_id,
        mailbox_id=row.mailbox_id,
        mailbox_address=row.mailbox.address,
        addresses=row.address_list,
        domains=row.domain_list,
        is_default=row.is_default,
        from_policy=FromPolicy.REWRITE,
        rewrite_signed=row.rewrite_signed,
    )
    try:
        return replace(
            known,
            from_policy=known_word(FromPolicy, row.from_policy, "from_policy"),
            direct_limit=row.mailbox.direct_limit,
            max_size=row.mailbox.max_message_size,
            large_mail=known_word(LargeMail, row.large_mail, "large_mail"),
            can_draft=row.mailbox.can_draft,
            invitations=known_word(Invitations, row.invitations, "invitations"),
            redirect_all_to=row.redirect_all_to,
            recipients_per_message=row.mailbox.recipients_per_message,
            large_text=known_word(LargeText, row.large_text, "large_text"),
            headers_rule=row.headers_rule,
        )
    except UNREADABLE as error:
        return replace(known, unreadable=first_line(error))


def _client(row: SmtpClient) -> Client:
    known = Client(
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
    )
    try:
        return replace(
            known,
            urgency=None if row.urgency is None else known_word(Urgency, row.urgency, "urgency"),
            default_domain=row.default_domain,
            aliases=_aliases(row.aliases),
            repeat_minutes=row.repeat_minutes,
        )
    except UNREADABLE as error:
        return replace(known, unreadable=first_line(error))


def _aliases(value: Any) -> Aliases:
    if not isinstance(value, dict):
        raise TypeError("aliases are no map from names to addresses")
    return value


def _networks(words: Iterable[str]) -> Iterable[IPNetwork]:
    for word in words:
        with suppress(ValueError):  # the admin refuses such a word; whatever else wrote it, it lets nobody in
            yield ipaddress.ip_network(word)
