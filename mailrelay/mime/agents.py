"""Reads Sender and the Resent fields: senders of a message besides its author.

RFC 5322 sections 3.6.2 and 3.6.6. Mail programs show them beside From: "Ann on behalf of Bob".
"""

from mailrelay.mime.addresses import AddressList, Mailbox, fold_list, format_mailbox, is_address, read_list
from mailrelay.mime.envelope import LIST_LIMIT
from mailrelay.mime.headers import Field, HeaderBlock, make_field
from mailrelay.mime.mailbox import is_writable

__all__ = ["agents", "tidy_agents"]

_FIELDS = ("Sender", "Resent-From", "Resent-Sender")


def agents(headers: HeaderBlock) -> list[tuple[str, str]]:
    """The field and the address of everybody whom these fields name, in order."""
    return [
        (field.name, mailbox.address)
        for field in headers.named(*_FIELDS)
        for mailbox in _writable(_read(field))
    ]


def tidy_agents(headers: HeaderBlock) -> list[str]:
    """Write these fields so that every reader finds the addresses of `agents` and no other.

    A field without any address goes. Returns a sentence for each field that changed.
    """
    changes, fields = [], []
    for field in headers.fields:
        kept = _tidied(field) if field.key in _KEYS else field
        if kept is not None:
            fields.append(kept)
        if kept is not field:
            done = "was removed, because it has no address" if kept is None else "was written as it is read"
            changes.append(f"{field.name} {done}.")
    headers.fields = fields
    return changes


_KEYS = frozenset(name.lower() for name in _FIELDS)


def _read(field: Field) -> AddressList:
    return read_list(field.value) if len(field.raw) <= LIST_LIMIT else AddressList((), tidy=False)


def _writable(listed: AddressList) -> list[Mailbox]:
    return [mailbox for mailbox in listed.mailboxes if is_writable(mailbox.address)]


def _tidied(field: Field) -> Field | None:
    listed = _read(field)
    found = _writable(listed)
    if listed.tidy and len(found) == len(listed.mailboxes) and not any(is_address(m.display) for m in found):
        return field if found else None
    # A name that is an address is left out: Graph takes it for the address.
    entries = [format_mailbox("" if is_address(m.display) else m.display[:500], m.address) for m in found]
    return make_field(field.name, fold_list(field.name, entries)) if entries else None
