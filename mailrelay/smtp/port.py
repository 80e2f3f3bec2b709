"""Shared by the sessions of one address: its policy, and its answer to EHLO."""

import ssl
from typing import Protocol

from mailrelay.routing.table import IPNetwork
from mailrelay.smtp.tls import Certificates

#: What every session is offered (RFC 2920, 1870, 6152, 6531, 3030, 2034).
EXTENSIONS = "250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
#: PLAIN first: some clients take the first that they know, and all know it. No CRAM-MD5, which needs
#: passwords in clear.
LOGINS = "250-AUTH PLAIN LOGIN\r\n"


class Listener(Protocol):
    """An address of SMTP_LISTENERS and its policy; `gateway.listeners` says what each word means."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def implicit_tls(self) -> bool: ...
    @property
    def starttls(self) -> str: ...
    @property
    def auth(self) -> str: ...
    @property
    def cleartext_auth(self) -> bool: ...
    @property
    def tls(self) -> str: ...
    @property
    def barelf(self) -> str: ...
    @property
    def proxies(self) -> tuple[IPNetwork, ...]: ...


class Port:
    """One listener as its sessions see it."""

    def __init__(
        self, listener: Listener, hostname: str, max_message_size: int, certificates: Certificates | None
    ) -> None:
        self.listener = listener
        self.certificates = certificates
        self.offers_starttls = listener.starttls in {"optional", "required"} or (
            not listener.starttls and not listener.implicit_tls and certificates is not None
        )
        self.starttls_required = listener.starttls == "required"
        self.auth_required = listener.auth == "required"
        extensions = EXTENSIONS.format(size=max_message_size)
        self._ehlo = {
            secure: (
                f"250-{hostname}\r\n{extensions}"
                + ("250-STARTTLS\r\n" if self.offers_starttls and not secure else "")
                + (LOGINS if self.takes_logins(secure=secure) else "")
                + "250 ENHANCEDSTATUSCODES\r\n"
            ).encode()
            for secure in (False, True)
        }

    def ehlo(self, *, secure: bool) -> bytes:
        """The reply to EHLO, one write of all its lines."""
        return self._ehlo[secure]

    def tls_context(self) -> ssl.SSLContext | None:
        """What a handshake that begins now uses; None where TLS is not to be had."""
        return self.certificates.context(self.listener.tls) if self.certificates else None

    def takes_logins(self, *, secure: bool) -> bool:
        """Whether AUTH is offered; without TLS only where the listener says so."""
        return self.listener.auth != "off" and (secure or self.listener.cleartext_auth)

    @property
    def may_take_logins(self) -> bool:
        """Whether a session can come to where AUTH is offered."""
        reachable = self.listener.implicit_tls or self.offers_starttls
        return self.takes_logins(secure=False) or (reachable and self.takes_logins(secure=True))
