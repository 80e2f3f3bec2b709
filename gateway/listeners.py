"""`SMTP_LISTENERS` as data: where the listener binds, and the policy of each address."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

OPTIONS = {"starttls": ("off",)}


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that SMTP is spoken on."""

    host: str
    port: int

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smtp://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def listener(url: str) -> Listener:
    """Parse one `smtp://host:port?option=value`. Raises ValueError with the end of a sentence."""
    parts = urlsplit(url)
    if parts.scheme != "smtp":
        raise ValueError(f"has {url!r}: only smtp://host:port is spoken by this version")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise ValueError(f"has {url!r}, which lacks a host or a port: write smtp://127.0.0.1:2525")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if value not in OPTIONS.get(name, ()):
            raise ValueError(f"has {url!r} with {name}={value}, which this version does not know")
    return Listener(parts.hostname, port)


def listeners(text: str) -> tuple[Listener, ...]:
    """Parse the comma-separated list. Raises ValueError with the end of a sentence."""
    found = tuple(listener(url.strip()) for url in text.split(",") if url.strip())
    if not found:
        raise ValueError("names no address: write smtp://127.0.0.1:2525")
    return found


def http_address(text: str) -> tuple[str, int] | None:
    """Parse `host:port`, `[v6]:port` or `off` (None). Raises ValueError with the end of a sentence."""
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8080, or off")
    return host.strip("[]"), int(port)
