"""`SMTP_LISTENERS` as data: where the listener binds, and the policy of each address."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from mailrelay import parsing
from mailrelay.parsing import Network

#: The options of a query that are words, the default of each first. An address without `starttls` offers it
#: when there is a certificate.
OPTIONS = {
    "starttls": ("", "off", "optional", "required"),
    "auth": ("optional", "off", "required"),
    "cleartext_auth": ("off", "on"),
    "tls": ("modern", "legacy"),
    "barelf": ("normalize", "reject", "accept"),
}


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that SMTP is spoken on, and how."""

    host: str
    port: int
    #: TLS from the first byte (RFC 8314).
    implicit_tls: bool = False
    #: `off`, `optional`, `required`; empty is `optional` where there is a certificate.
    starttls: str = ""
    #: `optional`, `off`, `required`: whether a login is taken, or asked for.
    auth: str = "optional"
    #: Whether a login is taken without TLS.
    cleartext_auth: bool = False
    #: `modern` is TLS 1.2 and newer; `legacy` is what devices of the last decades speak.
    tls: str = "modern"
    #: What becomes of bare LF in a message: `normalize`, `reject`, or `accept`: it may end one.
    barelf: str = "normalize"
    #: Who must begin with a PROXY header; nobody else is served here then.
    proxies: tuple[Network, ...] = ()

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'smtps' if self.implicit_tls else 'smtp'}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def offers_starttls(self, *, certificate: bool) -> bool:
        return self.starttls in {"optional", "required"} or (
            not self.starttls and not self.implicit_tls and certificate
        )

    def takes_logins(self, *, certificate: bool) -> bool:
        """Whether a client can come to where AUTH is offered, given whether there is a certificate."""
        encrypted = self.implicit_tls or self.offers_starttls(certificate=certificate)
        return self.auth != "off" and (encrypted or self.cleartext_auth)

    @property
    def needs_certificate(self) -> bool:
        return self.implicit_tls or self.starttls in {"optional", "required"}


def listener(url: str) -> Listener:
    """Parse one `smtp://host:port?option=value`. Raises ValueError with a sentence."""
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"}:
        raise ValueError(f"“{url}” is no listener: write smtp://host:port, or smtps://… for implicit TLS.")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise ValueError(f"“{url}” lacks a host or a port: write smtp://127.0.0.1:2525.")
    words = {name: choices[0] for name, choices in OPTIONS.items()}
    proxies: list[Network] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "proxy":
            proxies += _networks(url, value)
        elif value and value in OPTIONS.get(name, ()):
            words[name] = value
        else:
            raise ValueError(f"“{url}” has {name}={value}, {_known(name)}.")
    implicit = parts.scheme == "smtps"
    if implicit and words["starttls"] in {"optional", "required"}:
        raise ValueError(f"“{url}” has starttls, but smtps:// is TLS from the first byte.")
    return Listener(
        parts.hostname,
        port,
        implicit_tls=implicit,
        starttls="off" if implicit else words["starttls"],
        auth=words["auth"],
        cleartext_auth=words["cleartext_auth"] == "on",
        tls=words["tls"],
        barelf=words["barelf"],
        proxies=tuple(proxies),
    )


def _known(name: str) -> str:
    if name in OPTIONS:
        return f"but {name} is one of {', '.join(filter(None, OPTIONS[name]))}"
    return f"which is not known: the options are {', '.join(OPTIONS)} and proxy"


def _networks(url: str, value: str) -> list[Network]:
    """Parse the value of `proxy`: networks with blanks (in a URL, +) between them."""
    try:
        return list(parsing.networks(value) or (parsing.network(value),))
    except ValueError as error:
        raise ValueError(f"“{url}” has proxy={value}. {error}") from None


def listeners(text: str) -> tuple[Listener, ...]:
    """Parse the comma-separated list. Raises ValueError with a sentence."""
    found = tuple(listener(url.strip()) for url in text.split(",") if url.strip())
    if not found:
        raise ValueError("No listener is named: write smtp://127.0.0.1:2525.")
    return found


def http_address(text: str) -> tuple[str, int] | None:
    """Parse `host:port`, `[v6]:port` or `off` (None). Raises ValueError with a sentence."""
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"“{text}” is not host:port: write 127.0.0.1:8080, or off.")
    return host.strip("[]"), int(port)
