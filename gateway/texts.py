"""Values that variables alone have; those that files and forms have too are in `mailrelay.parsing`.

All raise ValueError with a whole sentence.
"""

import re
from urllib.parse import urlsplit

BROKER = (
    "This is no broker: write a URL that starts with amqp://, amqps://, redis://, rediss://, sentinel:// or "
    "memory://."
)
PORT = "The URL has no usable port: write #, / and ? in a password as %23, %2F and %3F."
UNREADABLE = "The URL cannot be read: write special characters in a password as %XX."
BROKERS = ("memory", "amqp", "amqps", "pyamqp", "redis", "rediss", "sentinel")


def host_name(text: str) -> str:
    """Take a name for the greeting (RFC 5321 section 4.1.2: a domain or an address literal)."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*|\[[0-9A-Za-z.:]+\]", text):
        raise ValueError(f"“{text}” is not a host name: write mail.example.org.")
    return text


def broker_url(text: str) -> str:
    """Take a URL of a broker that kombu speaks to; its password is not quoted in the refusal."""
    try:
        parts = urlsplit(text)
    except ValueError:  # urllib quotes what it could not read
        raise ValueError(UNREADABLE) from None
    if parts.scheme not in BROKERS:
        raise ValueError(BROKER)
    try:
        port_is_usable = parts.port is None or parts.port > 0
    except ValueError:
        port_is_usable = ";" in text  # sentinel:// lists several hosts
    if not port_is_usable:
        raise ValueError(PORT)
    return text


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def directories(text: str) -> tuple[str, ...]:
    found = words(text)
    for directory in found:
        if not directory.startswith("/") or ".." in directory.split("/"):
            raise ValueError(f"“{directory}” is not an absolute path: write /var/run/secrets.")
    return tuple(directory.rstrip("/") for directory in found)


def origins(text: str) -> list[str]:
    found = words(text)
    for origin in found:
        if not re.match(r"https?://[^/\s]", origin, re.IGNORECASE):
            raise ValueError(f"“{origin}” is not an origin: write https://mail.example.org.")
    return found
