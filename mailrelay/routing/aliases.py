"""Whom a recipient stands for: by an alias, by a default domain, as every mail server has them."""

import re
from collections.abc import Iterator, Mapping, Sequence

from mailrelay.spelling import normalise

#: Names in lower case, each with the addresses and names that it stands for.
Aliases = Mapping[str, Sequence[str]]
#: What may be a mailbox at the default domain (RFC 5322 section 3.2.3): no part of a sentence, no quotes.
_NAME = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+")


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
    whole = f"{address}@{domain}" if domain and _NAME.fullmatch(address) else address
    key = normalise(whole)
    named = None if key in path else _named(key, maps, domain)
    if named is None:
        if "@" in whole:
            yield whole
    elif key not in seen:
        seen.add(key)
        for one in named:
            yield from _expanded(one, maps, domain, (*path, key), seen)


def _named(key: str, maps: Sequence[Aliases], domain: str) -> Sequence[str] | None:
    """Find whom `key` stands for, by the whole of it or, at the default domain, by its name alone."""
    name, at, where = key.rpartition("@")
    keys = (key, name) if at and domain and where == normalise(domain) else (key,)
    return next((known[key] for known in maps for key in keys if key in known), None)
