"""SMTP clients for people: a line each, the settings to copy, and what SMTP would answer to a mail."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from django.conf import settings

from gateway.listeners import Listener
from mailrelay.cli.errors import CliError
from mailrelay.mime.headers import HeaderBlock
from mailrelay.models import SmtpClient
from mailrelay.routing.loading import environment_client
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import policy
from mailrelay.smtp.replies import Reply
from mailrelay.vocabulary import Urgency


def listed() -> Iterator[str]:
    """One line a client, with what it is known by and what it may do."""
    for row in SmtpClient.objects.order_by("name"):
        by = [f"login {row.login}{'' if row.password_hash else ' (no password yet)'}"] if row.login else []
        by += [f"from {', '.join(row.networks.split())}"] if row.networks else []
        yield f"{row.name}: {' '.join(by) or 'known by nothing'}{'' if row.active else ', off'}{_rules(row)}"
    known = environment_client()
    yield f"{known.name}: from {', '.join(map(str, known.networks)) or 'nowhere'}"


def _rules(row: SmtpClient) -> str:
    rules = {
        "From": ", ".join(row.allowed_from.split()),
        "to": ", ".join(row.allowed_recipients.split()),
        "bytes": row.max_message_size,
        "a minute": row.messages_per_minute,
        "connections": row.max_connections,
        "urgency": "" if row.urgency is None else Urgency(row.urgency).name.lower(),
        "default domain": row.default_domain,
        "aliases": ", ".join(row.aliases),
    }
    told = "; ".join(f"{name} {value}" for name, value in rules.items() if value)
    return f" | {told}" if told else ""


def settings_to_copy(row: SmtpClient, password: str) -> Iterator[str]:
    """What somebody enters into the device or application, once for each listener that serves it.

    The password is told even where no listener of this process's settings takes it, since it is told once.
    """
    login = f"user name {row.login}, password {password}" if row.login else "no user name, no password"
    served = [each for each in settings.SMTP_LISTENERS if _serves(each, row)]
    for listener in served:
        host = settings.SMTP_HOSTNAME if listener.host in {"0.0.0.0", "::"} else listener.host  # noqa: S104
        yield f"server {host}, port {listener.port}, encryption {_encryption(listener)}, {login}"
    if not served:
        yield login
        yield (
            "No listener in the settings of this command serves it yet. "
            + (
                "A login needs one with TLS: SMTP_TLS_CERT_FILE, and smtp://0.0.0.0:587?starttls=required "
                "or smtps://0.0.0.0:465 in SMTP_LISTENERS."
                if row.login
                else "All in SMTP_LISTENERS want a login (auth=required): give it one by --login."
            )
        )


def _serves(listener: Listener, row: SmtpClient) -> bool:
    if row.login:
        return listener.takes_logins(certificate=bool(settings.SMTP_TLS_CERT_FILE))
    return listener.auth != "required"


def _encryption(listener: Listener) -> str:
    if listener.implicit_tls:
        return "SSL/TLS"
    return "STARTTLS" if listener.offers_starttls(certificate=bool(settings.SMTP_TLS_CERT_FILE)) else "none"


@dataclass(frozen=True, slots=True)
class Question:
    """A mail that nobody sends, to learn whether it would be taken."""

    client: str | None
    address: str | None
    mail_from: str
    recipient: str


def test(routing: RoutingTable, question: Question) -> Iterator[str]:
    """Say step by step what SMTP would answer. Raises CliError with the refusal."""
    client = _client(routing, question)
    yield f"client: {client.name}"
    _refused(policy.mail_from(routing, client, question.mail_from, utf8=True))
    yield f"MAIL FROM:<{question.mail_from}>: taken"
    meant = policy.rcpt_to(routing, client, question.address or "", question.recipient, utf8=True)
    if isinstance(meant, Reply):
        _refused(meant)
    else:
        others = f", and goes to {', '.join(meant)}" if meant != (question.recipient,) else ""
        yield f"RCPT TO:<{question.recipient}>: taken{others}"
    headers = HeaderBlock.parse(f"From: {question.mail_from}\r\n\r\n".encode())
    resolved = policy.resolve(routing, client, question.mail_from, headers)
    if isinstance(resolved, Reply):
        _refused(resolved)
    else:
        yield f"sender: {resolved.sender.name}, through the mailbox {resolved.mailbox_address}"


def _client(routing: RoutingTable, question: Question) -> Client:
    """Find who the question is about: by name, or as the listener would by address."""
    if question.client is not None:
        found = next((client for client in routing.clients if client.name == question.client), None)
        if found is None:
            raise CliError(f"There is no active client {question.client}: see manage.py smtpclient list.")
        if question.address is not None and not found.may_come_from(question.address):
            raise CliError(f"{question.client} may not come from {question.address}: add its network.")
        return found
    known = routing.client_for(ip_address(question.address or "127.0.0.1"))
    if known is None:
        raise CliError(
            f"No client is known by the address {question.address}: add its network to "
            "SMTP_ALLOWED_NETWORKS, or by manage.py smtpclient add NAME --network."
        )
    return known


def _refused(reply: Reply | None) -> None:
    if reply is not None:
        raise CliError(f"refused by the rule {reply.rule}: {reply.line}")
