"""Resolves recipients by aliases and a default domain, as every mail server has them."""

import re
from collections.abc import Iterator, Mapping, Sequence

from mailrelay.address_forms import lower, normalise

#: Names in lower case, each with the addresses and names that it stands for.
Aliases = Mapping[str, Sequence[str]]
#: What may be a mailbox at the default domain (RFC 5322 section 3.2.3): no part of a sentence, no quotes.
_NAME = r"[\w!#$%&'*+/=?^`{|}~.-]+"
#: The same with needless quotes, and a domain.
_LOCAL = re.compile(rf'(?:"(?P<quoted>{_NAME})"|(?P<name>{_NAME}))(?:@(?P<domain>[^@]*))?')
#: Domains that mean the machine itself: programs write them that know no other.
_OWN_DOMAINS = frozenset({"localhost", "localhost.localdomain"})


def stands_for(address: str, maps: Sequence[Aliases], domain: str) -> tuple[str, ...]:
    """Give the addresses that mail for `address` goes to; none where it has no domain and is no alias.

    The first of `maps` that knows a name counts. A name without a domain is also that name at `domain`. What
    an alias names may be an alias itself; one that names itself means the mailbox of that name, as in
    `root: root, admin@example.org`.
    """
    found: dict[str, str] = {}
    for one in _expanded(address, maps, domain, (), set()):
        found.setdefault(normalise(one), one)
    return tuple(found.values())


def _expanded(
    address: str, maps: Sequence[Aliases], domain: str, path: tuple[str, ...], seen: set[str]
) -> Iterator[str]:
    name = local_name(address)
    whole = address if not name else f"{name}@{domain}" if domain else ""
    key = normalise(address)
    if not any(key in known for known in maps):
        key = normalise(whole or name)
    named = None if key in path else _named(key, maps, domain)
    if named is None:
        if "@" in whole:
            yield whole
    elif key not in seen:
        seen.add(key)
        for one in named:
            yield from _expanded(one, maps, domain, (*path, key), seen)


def local_name(address: str) -> str:
    """Give the name in an address that has no domain, or one that means the sending machine; else nothing."""
    match = _LOCAL.fullmatch(address)
    domain = match["domain"] if match else ""
    if match is None or (domain is not None and lower(domain.rstrip(".")) not in _OWN_DOMAINS):
        return ""
    return match["quoted"] or match["name"]


def _named(key: str, maps: Sequence[Aliases], domain: str) -> Sequence[str] | None:
    """Find whom `key` stands for, by the whole of it or, at the default domain, by its name alone."""
    name, at, where = key.rpartition("@")
    keys = (key, name) if at and domain and where == normalise(domain) else (key,)
    return next((known[key] for known in maps for key in keys if key in known), None)
