"""The snapshot: senders and clients as the listener needs them, without a query a message."""

import ipaddress
from dataclasses import dataclass

from mailrelay.vocabulary import FromPolicy, LargeMail, Reason

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
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

    @property
    def large(self) -> bool:
        """Whether mail beyond one request may be sent; not known is no."""
        return self.large_mail is LargeMail.ON or (self.large_mail is LargeMail.AUTO and bool(self.can_draft))

    @property
    def large_known(self) -> bool:
        return self.large_mail is not LargeMail.AUTO or self.can_draft is not None

    def serves(self, address: str) -> bool:
        """Whether `address` is one of this sender's own, by itself or by its domain."""
        folded = address.lower()
        return folded in self.addresses or folded.rpartition("@")[2] in self.domains


@dataclass(frozen=True, slots=True)
class Client:
    """One who may talk to the listener. `id` is None for the networks of SMTP_ALLOWED_NETWORKS."""

    id: int | None
    name: str
    networks: tuple[IPNetwork, ...]
    allowed_from: frozenset[str] = frozenset()

    def may_use(self, address: str) -> bool:
        """Whether this client may send from `address`; no list means any."""
        folded = address.lower()
        return (
            not self.allowed_from
            or folded in self.allowed_from
            or "@" + folded.rpartition("@")[2] in self.allowed_from
        )


@dataclass(frozen=True, slots=True)
class Directory:
    """All that the listener has to know to say yes or no."""

    senders: tuple[Sender, ...] = ()
    clients: tuple[Client, ...] = ()
    #: Why there is nobody to send as, for the refusal's text.
    lacking: Reason = Reason.NONE

    def client_for(self, address: IPAddress) -> Client | None:
        """Find the client with the narrowest network around `address`."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        matches = (
            (network.prefixlen, client)
            for client in self.clients
            for network in client.networks
            if address.version == network.version and address in network
        )
        return max(matches, key=lambda match: (match[0], match[1].id or 0), default=(0, None))[1]

    def sender_for(self, address: str) -> Sender | None:
        """Find the sender of a From address: exact, then by domain, then the default."""
        folded = address.lower()
        domain = folded.rpartition("@")[2]
        exact = (sender for sender in self.senders if folded in sender.addresses)
        by_domain = (sender for sender in self.senders if domain in sender.domains)
        return next(exact, None) or next(by_domain, None) or self.default_sender

    @property
    def default_sender(self) -> Sender | None:
        return next((sender for sender in self.senders if sender.is_default), None)
