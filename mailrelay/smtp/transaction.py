"""The state of a mail transaction after MAIL and RCPT."""

from dataclasses import dataclass, field

from mailrelay.address_forms import normalise
from mailrelay.outbox.submission import NO_DSN_REQUEST, NO_RECIPIENT_DSN, DsnRequest, RecipientDsn
from mailrelay.routing.table import Client
from mailrelay.smtp.data import LineEnds
from mailrelay.smtp.spool import Spool
from mailrelay.smtp.transfer import Transfer


@dataclass(slots=True)
class Chunks:
    """A message that comes by BDAT, at one pace from its first chunk to its last."""

    spool: Spool
    transfer: Transfer
    ends: LineEnds = field(default_factory=LineEnds)


@dataclass(slots=True)
class Transaction:
    """One mail transaction (RFC 5321 section 3.3), from MAIL to the reply after DATA."""

    mail_from: str
    client: Client | None
    utf8: bool = False
    declared_size: int = 0
    #: Whom RCPT has named, by what all spellings of one address have in common: each gets one copy.
    named: dict[str, str] = field(default_factory=dict)
    refused_recipients: int = 0
    #: What BDAT has brought so far.
    chunks: Chunks | None = None
    #: What the client wants of reports: of the mail, and of recipients by address.
    dsn_request: DsnRequest = NO_DSN_REQUEST
    recipient_requests: dict[str, RecipientDsn] = field(default_factory=dict)

    @property
    def recipients(self) -> tuple[str, ...]:
        """The envelope: each recipient once, in order, as RCPT wrote it first."""
        return tuple(self.named.values())

    def names(self, address: str) -> bool:
        """Whether `address` is a recipient already, in whatever spelling."""
        return normalise(address) in self.named

    def add(self, address: str, dsn_request: RecipientDsn = NO_RECIPIENT_DSN) -> None:
        """Add a recipient; who is one already gets the reports that either RCPT wants."""
        if self.names(address):
            address = self.named[normalise(address)]
            dsn_request = dsn_request.joined(self.recipient_requests.pop(address, NO_RECIPIENT_DSN))
        else:
            self.named[normalise(address)] = address
        if dsn_request != NO_RECIPIENT_DSN:
            self.recipient_requests[address] = dsn_request

    @property
    def asks(self) -> bool:
        """Whether the client has said anything of reports."""
        return bool(self.recipient_requests) or self.dsn_request != NO_DSN_REQUEST

    def close(self) -> None:
        """Drop what BDAT has brought."""
        if self.chunks is not None:
            self.chunks.spool.close()
            self.chunks = None


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, and what it called itself."""

    address: str
    name: str = ""
    extended: bool = False
    secure: bool = False
    #: The name that it logged in with.
    login: str = ""
    #: Whether it came by HTTP (https://www.iana.org/assignments/mail-parameters, mail transmission types).
    http: bool = False

    def protocol(self, *, utf8: bool) -> str:
        """The word for `with` in Received (RFC 3848, RFC 6531 section 4.3)."""
        if self.http:
            return "HTTP"
        word = "UTF8SMTP" if utf8 else "ESMTP" if self.extended or self.secure or self.login else "SMTP"
        return word + ("S" if self.secure else "") + ("A" if self.login else "")
