"""Text from the network made safe to store and to show: bounded, printable, without secrets or mail."""

import re
from collections.abc import Iterable

_MASK = "[removed]"
_SECRETS = re.compile(
    # A JSON web token; only from the start of a word, or a long run of them would take quadratic time.
    r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){1,4}"
    r"|(?<=bearer )[^\s\"'<>,]{8,}"
    r"|(?<=basic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=client_secret=)[^\s&\"'<>]+"
    r"|(?<=client_assertion=)[^\s&\"'<>]+"
    r"|(?<=authtoken=)[^\s&\"'<>]+"
    r"|[A-Za-z0-9+/=_-]{80,}",  # base64 of a message or of a key that an intermediary echoed
    re.IGNORECASE,
)
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def safe_text(text: str | bytes, limit: int, *, secrets: Iterable[str] = ()) -> str:
    """Give `text` with secrets, long base64 and control characters masked, at most `limit` characters.

    `secrets` are values that must not appear whatever they look like. Masking comes before cutting,
    so that no half of a secret survives at the edge.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, _MASK)
    text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", _SECRETS.sub(_MASK, text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def safe_line(text: str | bytes, limit: int, *, secrets: Iterable[str] = ()) -> str:
    """Like `safe_text`, on a single line."""
    return " ".join(safe_text(text, limit, secrets=secrets).split())
