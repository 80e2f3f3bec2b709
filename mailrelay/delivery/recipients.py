"""Finds the recipients whom Graph calls by their display names."""

from collections import defaultdict
from collections.abc import Iterable

from mailrelay.address_forms import same_address
from mailrelay.mime.envelope import read_fields
from mailrelay.mime.headers import HeaderBlock


def addresses_of(names: Iterable[str], header: bytes) -> tuple[str, ...]:
    """Give `names` with the address added of each that is the display name of one address in `header`.

    One that is an address and the display name of another says of neither that it was refused.
    """
    called: dict[str, set[str]] = defaultdict(set)
    for listed in read_fields(HeaderBlock.parse(header), "To", "Cc", "Bcc"):
        for mailbox in listed.mailboxes:
            called[_plain(mailbox.display)].add(mailbox.address)
    found: list[str] = []
    for name in names:
        others = [address for address in called.get(_plain(name), ()) if not same_address(address, name)]
        if "@" not in name:
            found += [name, *(others if len(others) == 1 else ())]
        elif not others:
            found.append(name)
    return tuple(found)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
