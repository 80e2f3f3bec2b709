"""Our own SMTP listener from the inside: where it is, and which of this host's addresses it lets in."""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from gateway.listeners import Listener
from mailrelay.cli.errors import CliError
from mailrelay.routing.table import RoutingTable

Step = Callable[[], tuple[int, bytes]]

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class OwnListener:
    """Where to connect to, and from which of this host's addresses; empty leaves that to the system."""

    host: str
    port: int
    source: str = ""
    #: Whether TLS comes first, and whether STARTTLS has to.
    implicit_tls: bool = False
    starttls: bool = False

    @property
    def name(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def first_listener() -> Listener:
    """Choose a listener that takes mail without a login or a proxy's header, the first if all want them."""
    plain = (one for one in settings.SMTP_LISTENERS if one.auth != "required" and not one.proxies)
    return next(plain, settings.SMTP_LISTENERS[0])


def find(routing: RoutingTable) -> OwnListener:
    """Choose the way to our first listener that its rules let in.

    A listener on all addresses may let in the network of the pods and not loopback: then this host's own
    address in that network is used. Where none is let in, the plain way is taken, and the refusal tells why.
    """
    listener = first_listener()
    encryption = (listener.implicit_tls, listener.starttls == "required")
    if listener.host not in WILDCARDS:
        return OwnListener(listener.host, listener.port, "", *encryption)
    loopback = WILDCARDS[listener.host]
    own = [loopback, *_own_addresses(socket.AF_INET6 if ":" in loopback else socket.AF_INET)]
    allowed = (address for address in own if routing.client_for(ipaddress.ip_address(address)))
    address = next(allowed, loopback)
    return OwnListener(address, listener.port, address, *encryption)


def _own_addresses(family: socket.AddressFamily) -> list[str]:
    """List this host's addresses as its own name resolves; none where it does not."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def connect(way: OwnListener, timeout: float) -> smtplib.SMTP:
    """Connect and say EHLO. `timeout` is seconds for each step. Raises CliError."""
    source = (way.source, 0) if way.source else None
    # To ourselves: the name in the certificate is what others call us.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001
    client: smtplib.SMTP = (
        smtplib.SMTP_SSL(
            timeout=timeout, local_hostname=settings.SMTP_HOSTNAME, source_address=source, context=context
        )
        if way.implicit_tls
        else smtplib.SMTP(timeout=timeout, local_hostname=settings.SMTP_HOSTNAME, source_address=source)
    )
    try:
        code, text = client.connect(way.host, way.port)
        if code != 220:
            raise CliError(f"The listener on {way.name} answered {code} {_text(text)}")
        if way.starttls:
            client.starttls(context=context)
        client.ehlo_or_helo_if_needed()
    except (OSError, smtplib.SMTPException) as error:
        client.close()
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CliError(
            f"Nothing answers on {way.name}, the first of SMTP_LISTENERS: {reason}. Start the gateway "
            "(manage.py rungateway, or runsmtp), or run this command where its listener runs."
        ) from None
    return client


def hand_in(client: smtplib.SMTP, mail_from: str, recipient: str, content: bytes) -> str:
    """Hand in one mail; return the reply to DATA. Raises CliError naming the command refused."""
    steps: tuple[tuple[str, Step], ...] = (
        (f"MAIL FROM:<{mail_from}>", lambda: client.mail(mail_from)),
        (f"RCPT TO:<{recipient}>", lambda: client.rcpt(recipient)),
        ("DATA", lambda: client.data(content)),
    )
    text = ""
    for command, step in steps:
        try:
            code, reply = step()
        except smtplib.SMTPResponseException as error:
            code, reply = error.smtp_code, _bytes(error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            raise CliError(
                f"The connection broke at {command}: {str(error) or type(error).__name__}. The gateway's log "
                "of this moment says why; the mail may have been stored all the same."
            ) from None
        text = f"{code} {_text(reply)}"
        if code != 250:
            raise CliError(f"The gateway refused {command}: {text}")
    return text


def _text(reply: bytes) -> str:
    return " ".join(reply.decode("utf-8", "replace").split())


def _bytes(reply: bytes | str) -> bytes:
    return reply.encode() if isinstance(reply, str) else reply
