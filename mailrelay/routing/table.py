"""The snapshot: senders and clients as the listener needs them, without a query a message."""

import ipaddress
from dataclasses import dataclass, field, replace

from mailrelay.address_forms import normalise
from mailrelay.routing.aliases import Aliases, local_name, stands_for
from mailrelay.vocabulary import FromPolicy, Invitations, LargeMail, LargeText, Reason, Urgency

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MailboxKey = tuple[int, str]
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Sender:
    """One active SenderConfig."""

    id: int
    name: str
    registration_id: int
    mailbox_id: int
    mailbox_address: str
    addresses: frozenset[str]
    domains: frozenset[str]
    is_default: bool
    from_policy: FromPolicy
    rewrite_signed: bool
    #: Bytes that its mailbox sends in one request, and at all.
    direct_limit: int = 3_145_728
    max_size: int = 36_700_160
    large_mail: LargeMail = LargeMail.OFF
    #: Whether its registration may write drafts in the mailbox; None is not known.
    can_draft: bool | None = None
    #: What becomes of an invitation whose calendar does not name exactly the recipients.
    invitations: Invitations = Invitations.FILE
    #: Who gets all of its mail instead of the recipients, and how many of these share one delivery.
    redirect_all_to: str = ""
    recipients_per_message: int = 500
    #: What becomes of a text that one request has no room for.
    large_text: LargeText = LargeText.FILE
    #: Whether To, Cc and Bcc say who gets its mail, and not the envelope.
    headers_rule: bool = False
    #: What of its row cannot be read; its mail waits at the client until that is put right.
    unreadable: str = ""

    @property
    def large(self) -> bool:
        """Whether mail beyond one request may be sent; not known is no."""
        return self.large_mail is LargeMail.ON or (self.large_mail is LargeMail.AUTO and bool(self.can_draft))

    @property
    def large_known(self) -> bool:
        return self.large_mail is not LargeMail.AUTO or self.can_draft is not None

    def serves(self, address: str) -> bool:
        """Whether `address` is one of this sender's own, by itself or by its domain."""
        key = normalise(address)
        return key in self.addresses or key.rpartition("@")[2] in self.domains


@dataclass(frozen=True, slots=True)
class Client:
    """One who may talk to the listener. `id` is None for the networks of SMTP_ALLOWED_NETWORKS."""

    id: int | None
    name: str
    networks: tuple[IPNetwork, ...]
    allowed_from: frozenset[str] = frozenset()
    allowed_recipients: frozenset[str] = frozenset()
    #: The name that it logs in with; a client that has one is not known by its networks alone.
    login: str = ""
    password_hash: str = field(default="", repr=False)
    #: Bytes of a message, messages a minute, connections at a time; 0 is what the listener allows.
    max_message_size: int = 0
    messages_per_minute: int = 0
    max_connections: int = 0
    #: What its mail counts as; None leaves it to each mail's own headers.
    urgency: Urgency | None = None
    #: Of recipients without a domain; empty is what holds for all.
    default_domain: str = ""
    aliases: Aliases = field(default_factory=dict, hash=False)
    #: Minutes in which the same mail is a repetition; None is what holds for all.
    repeat_minutes: int | None = None
    #: What of its row cannot be read; it is known, but may send nothing until that is put right.
    unreadable: str = ""

    def may_use(self, address: str) -> bool:
        """Whether this client may send from `address`; no list means any."""
        return _listed(address, self.allowed_from)

    def may_reach(self, address: str) -> bool:
        """Whether this client may send to `address`; no list means any."""
        return _listed(address, self.allowed_recipients)

    def may_come_from(self, address: str) -> bool:
        """Whether a login of this client is taken from `address`; no network means from anywhere.

        What is no IP address, as where a proxy named none, is in no network.
        """
        if not self.networks:
            return True
        try:
            found = _plain(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(found.version == network.version and found in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Which mailboxes (by registration and address) take no more mail, and which clients of theirs."""

    mailboxes: frozenset[MailboxKey] = frozenset()
    clients: frozenset[tuple[MailboxKey, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for clients that have no rule of their own."""

    default_domain: str = ""
    aliases: Aliases = field(default_factory=dict, hash=False)
    repeat_minutes: int = 0


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All that the listener has to know to say yes or no."""

    senders: tuple[Sender, ...] = ()
    clients: tuple[Client, ...] = ()
    #: Why there is nobody to send as, for the refusal's text.
    lacking: Reason = Reason.NONE
    backlog: Backlog = Backlog()
    defaults: Defaults = Defaults()
    #: What of the rules for all clients cannot be read; the settings hold instead.
    unreadable_defaults: str = ""

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Say of each row that cannot be read what is wrong with it, and what follows."""
        rows = [(f"Sender {one.name}", one.unreadable, "Its mail gets 451") for one in self.senders]
        rows += [(f"SMTP client {one.name}", one.unreadable, "Its mail gets 451") for one in self.clients]
        rows += [("The row for all SMTP clients", self.unreadable_defaults, "The settings hold instead")]
        return tuple(f"{name} cannot be read: {why}. {then}." for name, why, then in rows if why)

    def stands_for(self, client: Client, address: str) -> tuple[str, ...]:
        """Give whom a recipient of `client` stands for; nobody where it has no domain and gets none.

        `postmaster` has the domain of the default sender's mailbox at least (RFC 5321 section 4.5.1).
        """
        maps, domain = (client.aliases, self.defaults.aliases), client.default_domain
        found = stands_for(address, maps, domain or self.defaults.default_domain)
        name = local_name(address)
        if found or name.lower() != "postmaster":
            return found
        sender = self.default_sender or next(iter(self.senders), None)
        return (f"{name}@{sender.mailbox_address.rpartition('@')[2]}" if sender else name,)

    def is_alias(self, client: Client, name: str) -> bool:
        """Whether `name`, as it is written, is an alias for a client."""
        return normalise(name) in client.aliases or normalise(name) in self.defaults.aliases

    def repeat_minutes(self, client: Client) -> int:
        """Minutes in which the same mail of `client` is a repetition; 0 is never."""
        own = client.repeat_minutes
        return self.defaults.repeat_minutes if own is None else own

    def client_for(self, address: IPAddress) -> Client | None:
        """Find the client without a login that has the narrowest network around `address`."""
        address = _plain(address)
        matches = (
            (network.prefixlen, client)
            for client in self.clients
            if not client.login
            for network in client.networks
            if address.version == network.version and address in network
        )
        return max(matches, key=lambda match: (match[0], match[1].id or 0), default=(0, None))[1]

    def client_of_login(self, login: str) -> Client | None:
        """Find the client that logs in as `login`; names are compared as they are written, but for case."""
        folded = login.casefold()
        return next(
            (client for client in self.clients if client.login and client.login.casefold() == folded), None
        )

    def sender_for(self, address: str) -> Sender | None:
        """Find the sender of a From address: exact, then by domain, then the default."""
        key = normalise(address)
        domain = key.rpartition("@")[2]
        exact = (sender for sender in self.senders if key in sender.addresses)
        by_domain = (sender for sender in self.senders if domain in sender.domains)
        return next(exact, None) or next(by_domain, None) or self.default_sender

    def only(self, sender_id: int) -> "RoutingTable":
        """Give what there is where every mail is that sender's; without it where it takes none."""
        senders = (replace(one, is_default=True) for one in self.senders if one.id == sender_id)
        return replace(self, senders=tuple(senders))

    @property
    def default_sender(self) -> Sender | None:
        return next((sender for sender in self.senders if sender.is_default), None)


def _listed(address: str, patterns: frozenset[str]) -> bool:
    if not patterns:
        return True
    key = normalise(address)
    return key in patterns or "@" + key.rpartition("@")[2] in patterns


def _plain(address: IPAddress) -> IPAddress:
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped
    return mapped or address
