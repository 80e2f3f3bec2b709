"""Decides the From of a message: its author, and what the sender's policy makes of it."""

from dataclasses import dataclass, field
from enum import Enum

from mailrelay.address_forms import normalise, same_address
from mailrelay.mime.addresses import (
    Mailbox,
    fold_list,
    format_mailbox,
    is_address,
)
from mailrelay.mime.agents import agents, tidy_agents
from mailrelay.mime.contenttype import parse_content_type
from mailrelay.mime.envelope import read_fields
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.mailbox import is_writable
from mailrelay.mime.words import decode_words
from mailrelay.mime.wrapped import unwrapped
from mailrelay.vocabulary import FromPolicy

__all__ = [
    "Author",
    "Identity",
    "Refusal",
    "apply_identity",
    "author",
    "refusal",
    "shown_agents",
]


#: Entries of a field without an address that are looked at for a hidden one.
MOST_WRAPPED = 20


class Refusal(Enum):
    """Why a message cannot go out with its From; the value is a sentence for the client."""

    FROM_NOT_ALLOWED = "The From address is not one that this sender may use."
    SIGNED = "The message is signed and its From would have to be rewritten, which breaks the signature."


@dataclass(slots=True, frozen=True)
class Identity:
    """As whom a sender sends: its mailbox, and the From addresses and domains that it serves."""

    policy: FromPolicy
    mailbox_address: str
    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    rewrite_signed: bool = False
    _served: frozenset[str] = field(init=False, repr=False, compare=False)
    _domains: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", FromPolicy(self.policy))  # a database hands over its text
        served = {normalise(address) for address in (self.mailbox_address, *self.addresses)}
        object.__setattr__(self, "_served", frozenset(served))
        object.__setattr__(
            self, "_domains", frozenset(normalise(domain.lstrip("@")) for domain in self.domains)
        )

    def serves(self, address: str) -> bool:
        """Whether `address` is the mailbox, listed, or in a listed domain."""
        key = normalise(address)
        return key in self._served or key.rpartition("@")[2] in self._domains

    def choose(self, author: "Author", header_from: str = "") -> Mailbox | None:
        """The author that counts: `header_from` if it is one, else the first served, else the first."""
        decided = (mailbox for mailbox in author.mailboxes if same_address(mailbox.address, header_from))
        served = (mailbox for mailbox in author.mailboxes if self.serves(mailbox.address))
        return next(decided, None) or next(served, author.mailboxes[0] if author.mailboxes else None)


@dataclass(slots=True, frozen=True)
class Author:
    """The From of a message: no address, one or several; `display` is a name that came without any."""

    mailboxes: tuple[Mailbox, ...]
    display: str = ""
    tidy: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses in order: which of them maps to a sender is the caller's to find."""
        return tuple(mailbox.address for mailbox in self.mailboxes)


def author(headers: HeaderBlock) -> Author:
    """Read all From fields of `headers`."""
    lists = read_fields(headers, "From")
    entries = [mailbox for listed in lists for mailbox in listed.mailboxes]
    named: dict[str, Mailbox] = {}
    for mailbox in _with_address(headers, "From", entries):
        named.setdefault(normalise(mailbox.address), mailbox)
    nameless = next((entry for entry in entries if not is_writable(entry.address)), None)
    display = _name_of(nameless) if nameless else ""
    return Author(tuple(named.values()), display, tidy=len(lists) == 1 and lists[0].tidy)


def _with_address(headers: HeaderBlock, name: str, entries: list[Mailbox]) -> list[Mailbox]:
    """The entries of a field that have an address to write; where none has, those that hide one."""
    found = [entry for entry in entries if is_writable(entry.address)]
    for texts in (headers.get_all(name), [entry.raw for entry in entries[:MOST_WRAPPED]]):
        found = found or [mailbox for text in texts[:MOST_WRAPPED] if (mailbox := unwrapped(text))]
    return found


def _name_of(entry: Mailbox) -> str:
    """A name for people, of an entry without an address: `root@(none)` is root."""
    return decode_words(entry.display or entry.address.removesuffix("@"))


def refusal(headers: HeaderBlock, identity: Identity, header_from: str = "") -> Refusal | None:
    """Why the message must be refused under this identity, or None; `header_from` as in `apply_identity`."""
    chosen = identity.choose(author(headers), header_from)
    if chosen is None:
        return None
    if identity.policy in {FromPolicy.REQUIRE, FromPolicy.OWN_MAILBOX} and not identity.serves(
        chosen.address
    ):
        return Refusal.FROM_NOT_ALLOWED
    if identity.policy is not FromPolicy.REWRITE or identity.rewrite_signed:
        return None
    if same_address(chosen.address, identity.mailbox_address):
        return None
    signed = parse_content_type(headers.content_type).is_signed
    return Refusal.SIGNED if signed else None


def shown_agents(headers: HeaderBlock, identity: Identity, header_from: str = "") -> list[tuple[str, str]]:
    """The field and the address of all besides From whom recipients will see as senders of the message."""
    dropped = _dropped(identity, identity.choose(author(headers), header_from))
    return [(name, address) for name, address in agents(headers) if name.lower() not in dropped]


def apply_identity(headers: HeaderBlock, identity: Identity, header_from: str = "") -> list[str]:
    """Change From, Reply-To, Sender and DKIM-Signature by the policy; a sentence for each change.

    Anyone who else is shown as a sender is one of `shown_agents`, to every reader.

    `header_from` is the author that was decided on when the message was taken: no other may be written
    than the one whom the client was allowed. A message that `refusal` names is not refused here. Raises
    ValueError if the mailbox's own address cannot stand in a header.
    """
    found = author(headers)
    chosen = identity.choose(found, header_from)
    headers.remove(*_dropped(identity, chosen))
    changes = tidy_agents(headers)
    if chosen is None:
        return [*_add_from(headers, identity, found), *changes]
    if _keeps(identity, chosen) and len(found.mailboxes) == 1:
        return [*_tidy_from(headers, found, chosen), *changes]
    return [*_write_from(headers, identity, found, chosen), *changes]


def _keeps(identity: Identity, chosen: Mailbox) -> bool:
    """Whether the author stays the one whom the message names."""
    return identity.policy is not FromPolicy.REWRITE or same_address(chosen.address, identity.mailbox_address)


def _dropped(identity: Identity, chosen: Mailbox | None) -> tuple[str, ...]:
    """The fields, in lower case, that say who sent the message for an author who is not in From any more."""
    return ("sender",) if chosen is not None and not _keeps(identity, chosen) else ()


def _write_from(headers: HeaderBlock, identity: Identity, found: Author, chosen: Mailbox) -> list[str]:
    keep = _keeps(identity, chosen)
    changes = _keep_reply_to(headers, found)
    headers.replace("From", _entry(chosen.display, chosen.address if keep else identity.mailbox_address))
    headers.remove("DKIM-Signature")
    if keep:
        return ["From names one of its several authors, because Graph sends from one.", *changes]
    return ["From was rewritten to the sender's mailbox.", *changes]


def _entry(display: str, address: str) -> str:
    """A display name that is an address is left out: Graph takes it for the author."""
    name = "" if is_address(display) else display[:500]
    return fold_list("From", [format_mailbox(name, address)])


def _add_from(headers: HeaderBlock, identity: Identity, found: Author) -> list[str]:
    headers.replace("From", _entry(found.display, identity.mailbox_address))
    return ["From was added, because the message had no author's address."]


def _tidy_from(headers: HeaderBlock, found: Author, chosen: Mailbox) -> list[str]:
    """Write one From again if readers differ over it.

    Graph answers ErrorSendAsDenied to `From: a@example.org <a@example.org>`, which devices send.
    """
    if found.tidy and not is_address(chosen.display):
        return []
    headers.replace("From", _entry(chosen.display, chosen.address))
    return ["From was written again, because Graph would not read it as meant."]


def _keep_reply_to(headers: HeaderBlock, found: Author) -> list[str]:
    lists = read_fields(headers, "Reply-To")
    entries = [mailbox for listed in lists for mailbox in listed.mailboxes]
    named = _with_address(headers, "Reply-To", entries)
    if named and len(lists) == 1 and lists[0].tidy:
        return []
    written = [format_mailbox(mailbox.display[:500], mailbox.address) for mailbox in named or found.mailboxes]
    headers.replace("Reply-To", fold_list("Reply-To", written))
    if named:
        return ["Reply-To was written again, because not every reader reads it alike."]
    return ["Reply-To was set to the original From."]
