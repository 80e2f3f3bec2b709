"""Which recipients Graph means, where it calls them by the names that the header gives them."""

from collections import defaultdict
from collections.abc import Iterable

from mailrelay.mime.envelope import read_fields
from mailrelay.mime.headers import HeaderBlock


def addresses_of(names: Iterable[str], header: bytes) -> tuple[str, ...]:
    """Give `names` with the address added of each that is the display name of one address in `header`."""
    given = tuple(names)
    if all("@" in name for name in given):
        return given
    called: dict[str, set[str]] = defaultdict(set)
    for listed in read_fields(HeaderBlock.parse(header), "To", "Cc", "Bcc"):
        for mailbox in listed.mailboxes:
            called[_plain(mailbox.display)].add(mailbox.address)
    found = (called.get(_plain(name), set()) for name in given)
    return (*given, *(address for addresses in found if len(addresses) == 1 for address in addresses))


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
