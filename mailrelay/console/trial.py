"""A test mail of one sender: through the rules of SMTP, the queue and Graph; its page tells the outcome."""

import hashlib
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_network
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from mailrelay.console.protection import client_address
from mailrelay.models import SenderConfig
from mailrelay.routing.directory import Client
from mailrelay.smtp import desk, replies
from mailrelay.smtp.desk import Parcel
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.transaction import Peer

ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def send(request: HttpRequest, sender: SenderConfig, recipient: str, wish: UUID) -> Reply:
    """Hand in a test mail from the mailbox of `sender`; a positive reply ends with its queue id.

    `wish` is of the page that asked: pressed twice, the same mail is found instead of a second one.
    """
    counter = desk.of_process()
    if counter is None:
        return replies.SHUTTING_DOWN
    mail_from, person = sender.mailbox.address, request.user.get_username()
    content = _mail(mail_from, recipient, wish)
    peer = Peer(client_address(request) or "unknown", name="admin", secure=request.is_secure(), http=True)
    client = Client(None, f"test by {person}"[:200], ANYWHERE)
    key = hashlib.sha256(f"test {person} {wish}".encode()).hexdigest()
    return counter.take(Parcel(client, peer, [content], mail_from, (recipient,), len(content), key))


def queue_id_of(reply: Reply) -> str:
    return reply.line.rpartition(" ")[2]


def _mail(mail_from: str, recipient: str, wish: UUID) -> bytes:
    """Write the mail, the same bytes for the same `wish`, whose first 48 bits are its time (RFC 9562)."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = mail_from, recipient, "Test of the mail gateway"
    mail["Date"] = format_datetime(datetime.fromtimestamp((wish.int >> 80) // 1000, UTC))
    mail["Message-ID"] = f"<test.{wish.hex}@{settings.SMTP_HOSTNAME}>"
    mail.set_content(
        f"This is a test mail, asked for in the admin of {settings.SMTP_HOSTNAME}, which delivered it "
        "through Microsoft Graph.\n\nIf you did not expect it, ignore it.\n"
    )
    return mail.as_bytes(policy=policy.SMTP)
