"""A test mail: through the same door and queue as all mail; the message's own address tells its outcome."""

from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from http import HTTPStatus
from ipaddress import ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from mailrelay.api import access, reading
from mailrelay.api.problems import ProblemError, bad_request
from mailrelay.api.submission import answer, of_process
from mailrelay.console.protection import client_address
from mailrelay.models import ApiToken
from mailrelay.outbox import clock
from mailrelay.routing.directory import Client, Directory, Sender
from mailrelay.smtp.desk import Parcel
from mailrelay.smtp.transaction import Peer
from mailrelay.vocabulary import Scope


def tested(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """Send a test mail to one address, from the mailbox of a sender or of the default one."""
    given = reading.document(request, {"to": str, "sender": str})
    recipient = given.get("to", "")
    if not recipient or not recipient.isprintable():
        raise bad_request('Say where to, as {"to": "you@example.org"}.')
    counter = of_process()
    sender = _sender(counter.directory(), given.get("sender"))
    access.record(request, token, recipient[:200], "test mail")
    address = client_address(request) or "unknown"
    client = Client(None, f"token {token.name}", (ip_network("0.0.0.0/0"),))
    content = _mail(sender.mailbox_address, recipient)
    peer = Peer(address, name=token.name, http=True)
    parcel = Parcel(client, peer, [content], sender.mailbox_address, (recipient,), len(content))
    return answer(counter.take(parcel))


def _sender(directory: Directory, name: str | None) -> Sender:
    found = (
        next((one for one in directory.senders if one.name == name), None)
        if name is not None
        else directory.default_sender
    )
    if found is None:
        text = "No active sender has this name." if name is not None else "There is no default sender."
        raise ProblemError(HTTPStatus.CONFLICT, text)
    return found


def _mail(mail_from: str, recipient: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = mail_from, "Test of the mail gateway"
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = make_msgid("test", settings.SMTP_HOSTNAME)
    mail.set_content(
        f"This is a test mail, asked for through the API of {settings.SMTP_HOSTNAME}, which delivered it "
        "through Microsoft Graph.\n\nIf you did not expect it, ignore it.\n"
    )
    try:
        mail["To"] = recipient
    except (ValueError, IndexError):
        # Whatever is wrong with the address, the rules for recipients say it in a sentence.
        mail["To"] = "undisclosed-recipients:;"
    return mail.as_bytes(policy=policy.SMTP)


trial = access.resource(POST=(Scope.TEST, tested))
