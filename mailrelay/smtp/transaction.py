"""What MAIL and RCPT have said so far."""

from dataclasses import dataclass, field

from mailrelay.routing.directory import Client


@dataclass(slots=True)
class Transaction:
    """One mail transaction (RFC 5321 section 3.3), from MAIL to the reply after DATA."""

    mail_from: str
    client: Client | None
    utf8: bool = False
    declared_size: int = 0
    recipients: list[str] = field(default_factory=list)
    refused_recipients: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, and what it called itself."""

    address: str
    name: str = ""
    extended: bool = False

    def protocol(self, *, utf8: bool) -> str:
        """The word for `with` in Received (RFC 3848, RFC 6531 section 4.3)."""
        return "UTF8SMTP" if utf8 else "ESMTP" if self.extended else "SMTP"
