"""Reads the recipients that Graph names when it refuses a message for them.

No document gives the form. Public reports show `Recipient "x" isn't resolved` and `Recipient 'x' is not
resolved`, blanks within the quotes, several addresses in one name, a display name in place of the address,
and nobody.
"""

import re
from collections.abc import Iterator

#: What ends the part of a sentence that names somebody.
_VERDICT = re.compile(r"\s(?:is|are|was|were)(?:\s+not|n['\u2019]t)\s+resolved", re.IGNORECASE)
#: The last word before a name, and the name: what stands in quotes, or else the rest.
_NAMING = re.compile(r".*\brecipients?:?\s+(?P<name>\S.*)\Z", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r".*\brecipients?:?\s*(?P<name>[\"'\u2018\u201c].*)\Z", re.IGNORECASE | re.DOTALL)
_QUOTES = "\"'\u2018\u2019\u201c\u201d"
_ANGLED = re.compile(r"<([^<>]{1,320})>")


def named_in(message: str) -> tuple[str, ...]:
    """List what may be an address or a display name in a refusal, without quotes and blanks around it.

    `message` is bounded (500 characters). Empty where nobody is named.
    """
    found: dict[str, None] = {}
    for piece in _VERDICT.split(message)[:-1]:
        naming = _QUOTED.match(piece) or _NAMING.match(piece)
        if naming is not None:
            found |= dict.fromkeys(_candidates(naming["name"]))
    return tuple(found)


def _candidates(name: str) -> Iterator[str]:
    """Give the name as a whole, an address in angle brackets, and what commas and semicolons part."""
    for piece in (name, *_ANGLED.findall(name), *re.split("[;,]", name)):
        bare = piece.strip().strip(_QUOTES).strip().strip("<>").strip(";,").strip()
        bare = bare[5:] if bare.lower().startswith("smtp:") else bare
        if bare:
            yield bare
