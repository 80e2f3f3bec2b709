"""To, Cc and Bcc made equal to the envelope, because Graph delivers to these fields and to nobody else."""

from collections.abc import Callable, Iterable, Sequence

from mailrelay.address_forms import normalise
from mailrelay.mime.addresses import (
    AddressList,
    Group,
    Mailbox,
    fold_list,
    format_address,
    format_mailbox,
    read_list,
)
from mailrelay.mime.headers import Field, HeaderBlock, make_field
from mailrelay.mime.mailbox import format_group, is_writable

__all__ = ["LIST_LIMIT", "named_recipients", "read_fields", "reconcile"]

# Exchange takes a header block of 256 KB; a longer list is not read, its recipients go to Bcc.
LIST_LIMIT = 262_144
_UNREAD = AddressList((), tidy=False)


def reconcile(headers: HeaderBlock, recipients: Sequence[str]) -> list[str]:
    """Change `headers` so that To, Cc and Bcc name exactly `recipients`; a sentence for each change.

    Entries of To and Cc outside the envelope are taken out, what stays keeps its display name; incoming
    Bcc fields give way to one Bcc with the recipients that To and Cc do not show.

    Raises ValueError, before anything is changed, for no recipients at all and for one that cannot
    stand in a header (line breaks and other controls, no domain, over 900 bytes).
    """
    wanted: dict[str, str] = {}
    for address in recipients:
        wanted.setdefault(normalise(address), format_address(address))
    if not wanted:
        raise ValueError("a message without recipients cannot be sent")
    changes = _retire_resent(headers)
    shown: set[str] = set()
    for name in ("To", "Cc"):
        changes += _trim(headers, name, wanted, shown)
    return changes + _write_bcc(headers, [wanted[key] for key in wanted if key not in shown])


def named_recipients(
    headers: HeaderBlock, stands_for: Callable[[str], Iterable[str]] = lambda address: (address,)
) -> list[str]:
    """Whom To, Cc and Bcc name, each once, in order; only those that a header can hold.

    `stands_for` gives the addresses that one of them means, which may have no domain.
    """
    found: dict[str, str] = {}
    for listed in read_fields(headers, "To", "Cc", "Bcc"):
        for address in (one for mailbox in listed.mailboxes for one in stands_for(mailbox.address)):
            if is_writable(address):
                found.setdefault(normalise(address), address)
    return list(found.values())


def read_fields(headers: HeaderBlock, *names: str) -> list[AddressList]:
    """The address lists of all fields of these names; what lies beyond 256 KiB of them is not read."""
    lists, room = [], LIST_LIMIT
    for field in headers.named(*names):
        room -= len(field.raw)
        lists.append(read_list(field.value) if room >= 0 else _UNREAD)
    return lists


def _retire_resent(headers: HeaderBlock) -> list[str]:
    """Nobody may be routed by RFC 5322 section 3.6.6 fields, as `sendmail -t` does.

    Resent-To and Resent-Cc were visible and stay so under a name that routes nothing; Resent-Bcc
    was meant for nobody's eyes and goes.
    """
    changes = []
    if headers.remove("Resent-Bcc"):
        changes.append("Resent-Bcc was removed, so that it neither routes nor shows anybody.")
    if headers.named("Resent-To", "Resent-Cc"):
        headers.fields = [_renamed(field) for field in headers.fields]
        changes.append("Resent-To and Resent-Cc were renamed to X-Resent-…, so that they route nothing.")
    return changes


def _renamed(field: Field) -> Field:
    if field.key not in {"resent-to", "resent-cc"}:
        return field
    return Field("X-" + field.name, b"X-" + field.raw)


def _trim(headers: HeaderBlock, name: str, wanted: dict[str, str], shown: set[str]) -> list[str]:
    """Leave only wanted mailboxes in the fields `name`, as one field; add them to `shown`."""
    fields = headers.named(name)
    lists = read_fields(headers, name)
    everyone = [normalise(mailbox.address) for listed in lists for mailbox in listed.mailboxes]
    strangers = sum(key not in wanted for key in everyone)
    shown.update(key for key in everyone if key in wanted)
    if not fields or (len(fields) == 1 and lists[0].tidy and not strangers):
        return []
    entries = [entry for listed in lists for item in listed.items for entry in _entries(item, wanted)]
    _rewrite(headers, name, entries)
    if any(listed is _UNREAD for listed in lists):
        return [f"{name} is longer than Exchange takes; its recipients were moved to Bcc."]
    if strangers:
        return [f"{name}: {strangers} entries were taken out, because the envelope does not name them."]
    if headers.named(name) == fields:
        return []
    return [f"{name} was written again, because not every reader reads it alike."]


def _rewrite(headers: HeaderBlock, name: str, entries: list[str]) -> None:
    if entries:
        headers.replace(name, fold_list(name, entries))
    else:
        headers.remove(name)


def _entries(item: Mailbox | Group, wanted: dict[str, str]) -> list[str]:
    if isinstance(item, Mailbox):
        return _kept(item, wanted)
    return format_group(item.name, [entry for member in item.members for entry in _kept(member, wanted)])


def _kept(mailbox: Mailbox, wanted: dict[str, str]) -> list[str]:
    address = wanted.get(normalise(mailbox.address))
    if address is None:
        return []
    if mailbox.strict:
        return [mailbox.raw]
    return [format_mailbox(mailbox.display, address)]


def _write_bcc(headers: HeaderBlock, hidden: list[str]) -> list[str]:
    before = [normalise(mailbox.address) for x in read_fields(headers, "Bcc") for mailbox in x.mailboxes]
    had = headers.remove("Bcc")
    if hidden:
        last = max(
            (n for n, field in enumerate(headers.fields, 1) if field.key in {"to", "cc", "from"}), default=0
        )
        headers.fields.insert(last, make_field("Bcc", fold_list("Bcc", hidden)))
    if sorted(before) == sorted(map(normalise, hidden)) and had == bool(hidden):
        return []
    if hidden:
        return [f"Bcc names the {len(hidden)} recipients that To and Cc do not show."]
    return ["Bcc was removed, because To and Cc show all recipients."]
