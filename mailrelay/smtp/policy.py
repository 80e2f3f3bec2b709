"""Decides who may send what as whom: pure decisions, each a refusal with its reason or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mailrelay.address_forms import QUOTED_LOCAL, normalise
from mailrelay.mime.envelope import named_recipients
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import Identity, Refusal, author, refusal, shown_agents
from mailrelay.mime.mailbox import format_address
from mailrelay.routing.table import Client, RoutingTable, Sender
from mailrelay.smtp.replies import Reply
from mailrelay.vocabulary import FromPolicy, Reason, Urgency

#: Octets of an address (RFC 5321 section 4.5.3.1.3 with erratum 1690).
ADDRESS_LIMIT = 254

_SPECIALS = frozenset('()<>[]:;@\\,"')
_BULK = frozenset({"bulk", "list", "junk"})
_URGENT = frozenset({"urgent", "high", "highest", "1", "2"})
_LACKING = {
    Reason.SENDER_INACTIVE: "the sender is inactive",
    Reason.CREDENTIAL_MISSING: "the sender has no credential",
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whose mail a message is: its sender, the From that decided, and the mailbox it goes out through."""

    sender: Sender
    identity: Identity
    header_from: str
    mailbox_address: str


def mail_from(routing: RoutingTable, client: Client | None, address: str, *, utf8: bool) -> Reply | None:
    """Whether MAIL FROM:<address> is taken. A client that nobody listed learns at RCPT that it is not."""
    if refused := _unreadable(address, utf8=utf8):
        return refused
    if len(address.encode()) > ADDRESS_LIMIT:
        return Reply(f"553 5.1.7 The sender address is longer than {ADDRESS_LIMIT} octets", "address")
    if client is None:
        return None
    if client.unreadable:
        return _unreadable_row(f"client {client.name}", client.unreadable)
    if not routing.senders:
        return no_sender(routing, address)
    if address and not client.may_use(address):
        return _not_allowed("Sender address", address, client)
    return None


def rcpt_to(
    routing: RoutingTable, client: Client | None, client_address: str, address: str, *, utf8: bool
) -> tuple[str, ...] | Reply:
    """Return whom RCPT TO:<address> stands for, or why it is not taken.

    A client that is not listed is refused whatever the address.
    """
    if client is None:
        return Reply(
            f"550 5.7.1 Client {client_address} may not send through this server: log in, or add its network "
            "to SMTP_ALLOWED_NETWORKS or list it as an SMTP client",
            "client",
        )
    if refused := _unreadable(address, utf8=utf8):
        return refused
    if refused := _no_recipient(address):
        return refused
    meant = routing.stands_for(client, address)
    if not meant:
        return Reply(
            f"553 5.1.3 <{address}> has no public domain: write user@example.org, or make it an alias or set "
            "a default domain for the client (SMTP_ALIASES, SMTP_DEFAULT_DOMAIN)",
            "address",
        )
    return next(filter(None, (_wrong_recipient(client, one) for one in meant)), None) or meant


def _no_recipient(address: str) -> Reply | None:
    local, at, domain = address.rpartition("@")
    # Unquoted, these mean several mailboxes to several readers (RFC 5322 section 3.2.3).
    odd = not _SPECIALS.isdisjoint(local) and not QUOTED_LOCAL.fullmatch(local)
    if not address or (at and not (local and domain)) or odd:
        return Reply(f"553 5.1.3 <{address}> is not an address: write user@example.org", "address")
    return None


def _wrong_recipient(client: Client, address: str) -> Reply | None:
    """Why mail of `client` cannot go to `address`, which is written out or what an alias stands for."""
    if len(address.encode()) > ADDRESS_LIMIT:
        return Reply(f"553 5.1.3 The recipient address is longer than {ADDRESS_LIMIT} octets", "address")
    try:
        format_address(address)
    except ValueError as wrong:
        return Reply(f"553 5.1.3 <{address}> cannot be a recipient: {wrong}", "address")
    if not client.may_reach(address):
        return Reply(
            f"550 5.7.1 Client {client.name} may not send to <{address}>: add the address or its domain to "
            "the recipients of the client",
            "client-recipient",
        )
    return None


def resolve(
    routing: RoutingTable, client: Client, mail_from: str, headers: HeaderBlock
) -> Resolution | Reply:
    """Find the sender of a message by its header From, or say why there is none.

    The author is decided on here and nowhere else: what is sent later is written from `header_from`.
    """
    address, sender = _choose(routing, author(headers).addresses, mail_from)
    if len(address.encode("utf-8", "replace")) > ADDRESS_LIMIT:
        return Reply(f"554 5.6.0 The From address is longer than {ADDRESS_LIMIT} octets", "from-address")
    if sender is None:
        return no_sender(routing, address)
    if sender.unreadable:
        return _unreadable_row(f"sender {sender.name}", sender.unreadable)
    if refused := _not_its_own(client, sender, address, mail_from):
        return refused
    identity = identity_of(sender)
    if reason := refusal(headers, identity, address):
        return _refused_identity(reason, address, sender)
    if refused := _shown_beside(client, headers, identity, address):
        return refused
    own = identity.policy is FromPolicy.OWN_MAILBOX and address
    return Resolution(sender, identity, address, normalise(address) if own else sender.mailbox_address)


def recipients(
    routing: RoutingTable,
    resolved: Resolution,
    client: Client,
    headers: HeaderBlock,
    envelope: Sequence[str],
    most: int,
) -> tuple[str, ...] | Reply:
    """Return who gets a message: the envelope, or whom the header names where the sender lets that rule.

    Whom a header names has to be allowed like a RCPT TO; `most` is how many it may name. An entry without a
    domain counts where it is an alias, or the envelope has it too: it may be half of somebody's name.
    """
    if not resolved.sender.headers_rule:
        return tuple(envelope)

    def meant(address: str) -> Sequence[str]:
        found = routing.stands_for(client, address)
        sure = "@" in address or routing.is_alias(client, address) or set(found) <= set(envelope)
        return found if sure else ()

    named = named_recipients(headers, meant)
    if not named:
        return tuple(envelope)
    where = f"The header decides who gets mail of sender {resolved.sender.name}, and"
    if len(named) > most:
        return Reply(
            f"554 5.5.3 {where} it names {len(named)} recipients; {most} are taken", "header-recipients"
        )
    if forbidden := next((address for address in named if not client.may_reach(address)), None):
        return Reply(
            f"550 5.7.1 {where} it names <{forbidden}>, to whom client {client.name} may not send: add the "
            "address or its domain to the recipients of the client",
            "client-recipient",
        )
    return tuple(named)


def backlogged(routing: RoutingTable, sender: Sender, mailbox_address: str, client_key: str) -> Reply | None:
    """Refuse for now what would wait for longer than it should live, at the rate of its mailbox."""
    key = (sender.registration_id, mailbox_address)
    if key in routing.backlog.mailboxes:
        return Reply(
            f"452 4.3.1 Too much mail of sender {sender.name} waits for its turn, try again later: the "
            "limits of its mailbox let it go no faster",
            "backlog",
        )
    if (key, client_key) in routing.backlog.clients:
        return Reply(
            f"452 4.3.1 Too much mail of client {client_key} waits for sender {sender.name}, try later: "
            "one client may fill half of its queue",
            "client-backlog",
        )
    return None


@lru_cache(maxsize=1024)
def identity_of(sender: Sender) -> Identity:
    """What `mailrelay.mime` has to know of a sender."""
    return Identity(
        policy=sender.from_policy,
        mailbox_address=sender.mailbox_address,
        addresses=sender.addresses,
        domains=sender.domains,
        rewrite_signed=sender.rewrite_signed,
    )


def no_sender(routing: RoutingTable, address: str) -> Reply:
    """Say why nobody sends for `address`; 4xx where our own configuration lacks something."""
    if routing.lacking:
        why = _LACKING.get(routing.lacking, routing.lacking.replace("_", " "))
        return Reply(
            f"451 4.3.5 No sender can take mail from <{address}> now ({why}): an administrator has to fix "
            "the configuration, then try again",
            "no-sender",
        )
    return Reply(
        f"550 5.7.1 No sender takes mail from <{address}> and none is the default: add the address or its "
        "domain to a sender, or make one the default",
        "no-sender",
    )


def _unreadable_row(whose: str, reason: str) -> Reply:
    return Reply(
        f"451 4.3.5 The row of {whose} cannot be read ({reason}): an administrator has to save it "
        "again, then try again",
        "unreadable-row",
    )


def urgency(headers: HeaderBlock) -> Urgency:
    """Read the urgency that the application asks for; bulk that calls itself urgent is still bulk."""
    if _word(headers, "Precedence") in _BULK:
        return Urgency.BULK
    if any(_word(headers, name) in _URGENT for name in ("Priority", "X-Priority", "Importance")):
        return Urgency.URGENT
    return Urgency.NORMAL


def _word(headers: HeaderBlock, name: str) -> str:
    # Outlook writes `X-Priority: 1 (Highest)`.
    return (headers.get(name) or "").partition("(")[0].strip().lower()


def _choose(routing: RoutingTable, authors: Sequence[str], mail_from: str) -> tuple[str, Sender | None]:
    """The From that counts: the first that a sender serves, else the first, with the default sender."""
    for address in authors:
        sender = routing.sender_for(address)
        if sender is not None and sender.serves(address):
            return address, sender
    if authors:
        return authors[0], routing.default_sender
    return "", routing.sender_for(mail_from)


def _not_its_own(client: Client, sender: Sender, address: str, mail_from: str) -> Reply | None:
    """Whether the client may not send as `address`, or as the mailbox whose address is added without any.

    A sender that rewrites makes every From the mailbox's: there the MAIL FROM that chose it is enough.
    """
    if address:
        return None if client.may_use(address) else _not_allowed("From", address, client)
    if mail_from and sender.from_policy is FromPolicy.REWRITE and client.may_use(mail_from):
        return None
    if client.may_use(sender.mailbox_address):
        return None
    return _not_allowed("The mail has no From, and its sender's", sender.mailbox_address, client)


def _shown_beside(client: Client, headers: HeaderBlock, identity: Identity, address: str) -> Reply | None:
    """Whether recipients would see another besides From as a sender whom the client may not use."""
    if not client.allowed_from:
        return None
    shown = shown_agents(headers, identity, address)
    foreign = ((name, agent) for name, agent in shown if not client.may_use(agent))
    return next((_not_allowed(name, agent, client) for name, agent in foreign), None)


def _unreadable(address: str, *, utf8: bool) -> Reply | None:
    if address.isascii():
        return None
    if not utf8:
        return Reply("553 5.6.7 The address is not ASCII: this needs the SMTPUTF8 parameter of MAIL", "utf8")
    try:
        address.encode()
    except UnicodeEncodeError:
        return Reply("553 5.6.7 The address is not valid UTF-8", "utf8")
    return None


def _not_allowed(what: str, address: str, client: Client) -> Reply:
    return Reply(
        f"550 5.7.1 {what} <{address}> is not among those that client {client.name} may use: "
        "add the address or its domain to the client",
        "client-from",
        about=address,
    )


def _refused_identity(reason: Refusal, address: str, sender: Sender) -> Reply:
    if reason is Refusal.SIGNED:
        return Reply(
            f"550 5.7.60 From <{address}> would have to be rewritten to <{sender.mailbox_address}>, which "
            f"breaks the signature: let sender {sender.name} rewrite signed mail, or send as its mailbox",
            "signed",
        )
    return Reply(
        f"550 5.7.60 Sender {sender.name} may not send as <{address}>: send as <{sender.mailbox_address}>, "
        "or add the address or its domain to the sender",
        "from-policy",
    )
