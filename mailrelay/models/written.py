"""What people write into the configuration, by form or by file: read into what is kept, or refused.

Each function gives the value as it is kept and raises ValueError with a sentence on what is wrong with it.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Tenants of Entra ID that stand for "any", for which client credentials get no token
#: (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
_ANY_TENANT = ("common", "organizations", "consumers")


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


def network(text: str) -> IPv4Network | IPv6Network:
    """Read a network without host bits; a single address is one too."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        around = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"“{text}” is not a network: write 192.0.2.0/24, a single address, or the word private."
        ) from None
    raise ValueError(f"“{text}” has bits beyond its prefix: write {around}, or a single address.")


def tenant(text: str) -> str:
    """Read a tenant's id, or one of its domains, in lower case."""
    folded = text.lower()
    if folded in _ANY_TENANT:
        raise ValueError(
            f"“{text}” names no tenant, and an application gets tokens from its own alone: copy the "
            "Directory (tenant) ID from the application's overview in Entra ID."
        )
    if not _GUID.fullmatch(folded) and not _DOMAIN.fullmatch(folded):
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


def https_origin(text: str) -> str:
    """Read an https address without a path, which tokens and mail may be sent to."""
    origin = text.rstrip("/")
    if not _is_https_origin(origin):
        raise ValueError(
            f"“{text}” cannot be used: write an https address without a path, such as "
            "https://graph.microsoft.com."
        )
    return origin


def _is_address(text: str) -> bool:
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
