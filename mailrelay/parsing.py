"""One reader for each value that people write: by variable, by YAML file, by form or by command.

Each function gives the value as it is kept, and raises ValueError with a whole sentence that says what is
wrong with it and what to write instead. Nothing here needs Django but `validate_email`.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

#: Words that stand for networks: RFC 1918, RFC 6598 (carrier NAT) and RFC 4193 (IPv6 ULA); this machine.
NETWORKS = {
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    "loopback": ("127.0.0.0/8", "::1/128"),
}
#: What an Idempotency-Key is: printable ASCII, and no blank at its ends, which HTTP takes away.
IDEMPOTENCY_KEY = "^[!-~](?:[ -~]{0,253}[!-~])?$"

_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PRINCIPAL = re.compile(r"[^\s@<>,;\"/]+@[^\s@<>,;\"/]+")
_ALIAS = re.compile(r"[^@<>:\"\\()\[\]]+(?:@[\w-]+(?:\.[\w-]+)*)?:?")
_ALIAS_WORDS = re.compile(r"[\s,;]+|(?<=:)")
_ALIASES = "write root: admin@example.org."
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:_[0-9]{1,40}){0,10}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETWEEN = re.compile(r"[\s,;]+")
#: Tenants of Entra ID that stand for "any", for which client credentials get no token
#: (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
_ANY_TENANT = ("common", "organizations", "consumers")
#: Characters of the columns that keep a tenant or a URL.
_MOST = 200
_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)

# --- Addresses and domains -----------------------------------------------------------------------------


def address(text: str) -> str:
    """Read an address, in lower case: it is compared with others."""
    if not _is_address(text):
        raise ValueError(f"“{text}” is not an address: write user@example.org.")
    return text.lower()


def domain(text: str) -> str:
    """Read a domain, with or without an @ before it, in lower case."""
    name = text.removeprefix("@").lower()
    if name.startswith("*."):
        raise ValueError(f"“{text}” is not a domain: subdomains are listed one by one, without an asterisk.")
    if not _DOMAIN.fullmatch(name):
        raise ValueError(f"“{text}” is not a domain: write example.org.")
    return name


def pattern(text: str) -> str:
    """Read an address, or a domain behind an @."""
    folded = text.lower()
    if _is_address(folded) or (folded.startswith("@") and _DOMAIN.fullmatch(folded[1:])):
        return folded
    raise ValueError(f"“{text}” is neither an address nor a domain: write user@example.org or @example.org.")


def mailbox_address(text: str) -> str:
    """Read the address of a mailbox; its object id is told where to go."""
    if _GUID.fullmatch(text.lower()):
        raise ValueError(
            f"“{text}” is not an address: write user@example.org. The object id of a mailbox goes into "
            "SENDER_MAILBOX, or user_id, beside it."
        )
    return address(text)


def mailbox_key(text: str) -> str:
    """Read what Graph finds a mailbox by: a user principal name or an object id."""
    if len(text) > 320 or not (_PRINCIPAL.fullmatch(text) or _GUID.fullmatch(text.lower())):
        raise ValueError(
            f"“{text}” is no mailbox: write its user principal name, such as relay@example.org, or its "
            "object id, a GUID."
        )
    return text


def aliases(text: str) -> dict[str, list[str]]:
    """Read `root: admin@example.org, backup: a@example.org b@example.org`: names and whom each stands for.

    Blanks, commas and line ends part the words. A name may have a domain, and an address may lack one where
    it is another name.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for word in filter(None, _ALIAS_WORDS.split(re.sub(r"\s+:", ":", text))):
        if not _ALIAS.fullmatch(word):
            raise ValueError(f"“{word}” is neither a name with a colon nor an address: {_ALIASES}")
        if word.endswith(":"):
            name = word[:-1].lower() if word.isascii() else word[:-1]
            if name in found:
                raise ValueError(f"“{name}” stands in this list twice.")
            found[name] = []
        elif not name:
            raise ValueError(f"“{word}” stands before any name: {_ALIASES}")
        else:
            found[name].append(word)
    if lacking := next((name for name, addresses in found.items() if not addresses), None):
        raise ValueError(f"“{lacking}” has no address: {_ALIASES}")
    return found


# --- Networks ------------------------------------------------------------------------------------------


def network(text: str) -> Network:
    """Read a network without host bits; a single address is one too."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        around = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"“{text}” is not a network: write 192.0.2.0/24, a single address, or the word private or "
            "loopback."
        ) from None
    raise ValueError(f"“{text}” has bits beyond its prefix: write {around}, or a single address.")


def networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas, semicolons or blanks between them, and the words that stand for some."""
    return tuple(network(word) for word in network_words(text))


def network_words(text: str) -> Iterator[str]:
    """Give the networks of a list as they are written; a word that stands for several is written out."""
    for word in words(text):
        yield from NETWORKS.get(word.lower(), (word,))


def words(text: str) -> list[str]:
    """Part a list at its commas, semicolons and blanks."""
    return [word for word in _BETWEEN.split(text) if word]


# --- Microsoft's ids and hosts -------------------------------------------------------------------------


def tenant(text: str) -> str:
    """Read a tenant's id, or one of its domains, in lower case."""
    folded = text.lower()
    if folded in _ANY_TENANT:
        raise ValueError(
            f"“{text}” names no tenant, and an application gets tokens from its own alone: copy the "
            "Directory (tenant) ID from the application's overview in Entra ID."
        )
    if len(folded) > _MOST or not (_GUID.fullmatch(folded) or _DOMAIN.fullmatch(folded)):
        raise ValueError(
            f"“{text}” is no tenant. A tenant is a GUID such as 11111111-2222-3333-4444-555555555555, or a "
            "domain of it such as contoso.onmicrosoft.com."
        )
    return folded


def client_id(text: str) -> str:
    """Read the id of an application, in lower case."""
    folded = text.lower()
    if not _GUID.fullmatch(folded):
        raise ValueError(
            f"“{text}” is no client id. A client id is a GUID: copy the Application (client) ID from the "
            "application's overview in Entra ID, not the id or the value of a secret."
        )
    return folded


def client_secret(text: str) -> str:
    """Read the value of a client secret, which the sentence does not quote."""
    if _GUID.fullmatch(text.strip().lower()):
        raise ValueError("That is the id of a secret; Entra ID shows the value in the next column.")
    return text


def https_origin(text: str) -> str:
    """Read an https address without a path, which tokens and mail may be sent to."""
    origin = text.rstrip("/")
    if len(origin) > _MOST or not _is_https_origin(origin):
        raise ValueError(
            f"“{text}” cannot be used: write an https address without a path, such as "
            "https://graph.microsoft.com."
        )
    return origin


# --- Numbers, days and words ---------------------------------------------------------------------------


def whole_number(text: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """Read a number in digits, from `least` to `most`."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"“{text}” is not a whole number: write it in digits, such as 30.")
    number = int(text)
    if number < least:
        raise ValueError(f"“{text}” is too small: the least is {least}.")
    if number > most:
        raise ValueError(f"“{text}” is too large: the most is {most}.")
    return number


def day(text: str) -> date:
    """Read a day such as 2027-03-31."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"“{text}” is not a day: write 2027-03-31.")


def flag(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in _FLAGS:
        raise ValueError(f"“{text}” is neither true nor false.")
    return _FLAGS[text.lower()]


def one_of(text: str, choices: Sequence[str]) -> str:
    """Read one of some words."""
    if text not in choices:
        raise ValueError(not_one_of(text, choices))
    return text


def not_one_of(text: str, choices: Sequence[str]) -> str:
    """Say that a text is none of some words."""
    return f"“{text}” is not one of {', '.join(filter(None, choices))}."


def _is_address(text: str) -> bool:
    # Here, since a process answers its probes before it loads Django.
    from django.core.exceptions import ValidationError
    from django.core.validators import validate_email

    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _is_https_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        return False
    extra = parts.path or parts.query or parts.fragment or parts.username is not None
    return parts.scheme == "https" and bool(parts.hostname) and not extra and " " not in text
