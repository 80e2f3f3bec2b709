"""Compares spellings of an address: equal forms name one mailbox, for lists, limits and envelopes."""

import re
import string

QUOTED_LOCAL = re.compile(r'"(?>[^"\\]*(?:\\.[^"\\]*)*)"')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def normalise(address: str) -> str:
    """The form in which two spellings of one mailbox are equal; also of `@example.org`, a whole domain.

    Case is ignored in both parts, because Exchange ignores it, and so are quotes that are not needed
    and a final dot of the domain. Only ASCII has case here: the Kelvin sign is no k, and one who is taken
    for somebody else gets his mail. A-labels and U-labels of a domain stay different.
    """
    local, at, domain = address.rpartition("@")
    if local.startswith('"') and QUOTED_LOCAL.fullmatch(local):
        local = _ESCAPE.sub(r"\1", local[1:-1])
    plain = f"{local}{at}{domain.rstrip('.')}"
    return lower(plain)


def lower(text: str) -> str:
    """`text` with ASCII in lower case: what other letters have case is for each version of Unicode to say."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def same_address(one: str, other: str) -> bool:
    """Whether two addresses name the same mailbox."""
    return normalise(one) == normalise(other)
