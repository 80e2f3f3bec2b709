"""A test mail of one sender: through the rules of SMTP, the queue and Graph; its page tells the outcome."""

import hashlib
from dataclasses import dataclass
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
from mailrelay.outbox.keeping.origin import TEST
from mailrelay.routing.table import Client
from mailrelay.smtp import injection, replies
from mailrelay.smtp.injection import InjectedMail, Injector
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.transaction import Peer

ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Trial:
    """A test mail from `mail_from` to `recipient`, through the sender of `sender_id` and no other.

    `test_id` is a UUID of version 7 and of the press of a button: the same id is the same mail. `who` asks,
    by `name` in the Received field; `way` is how, in the mail's own words.
    """

    sender_id: int
    mail_from: str
    recipient: str
    test_id: UUID
    who: str
    name: str
    way: str

    def hand_in(self, counter: Injector, request: HttpRequest) -> Reply:
        """Hand it in, once whatever is pressed; a positive reply ends with its queue id."""
        address = client_address(request) or "unknown"
        peer = Peer(address, name=self.name, secure=request.is_secure(), http=True)
        client, content = Client(None, f"{TEST}{self.who}"[:200], ANYWHERE), self._content()
        key = hashlib.sha256(f"test {self.who} {self.sender_id} {self.test_id}".encode()).hexdigest()
        return counter.take(
            InjectedMail(
                client, peer, [content], self.mail_from, (self.recipient,), len(content), key, self.sender_id
            )
        )

    def _content(self) -> bytes:
        """Write the mail, the same bytes for the same id, whose first 48 bits are its time (RFC 9562)."""
        mail = EmailMessage()
        mail["From"], mail["Subject"] = self.mail_from, "Test of the mail gateway"
        mail["Date"] = format_datetime(datetime.fromtimestamp((self.test_id.int >> 80) // 1000, UTC))
        mail["Message-ID"] = f"<test.{self.test_id.hex}@{settings.SMTP_HOSTNAME}>"
        mail.set_content(
            f"This is a test mail, asked for {self.way} of {settings.SMTP_HOSTNAME}, which delivered it "
            "through Microsoft Graph.\n\nIf you did not expect it, ignore it.\n"
        )
        try:
            mail["To"] = self.recipient
        except (ValueError, IndexError):
            # Whatever is wrong with the address, the rules for recipients say it in a sentence.
            mail["To"] = "undisclosed-recipients:;"
        return mail.as_bytes(policy=policy.SMTP)


def send(request: HttpRequest, sender: SenderConfig, recipient: str, test_id: UUID) -> Reply:
    """Hand in a test mail of `sender` that somebody asks for in the admin."""
    if not takes_mail(sender):
        return replies.SENDER_ABSENT
    counter = injection.of_process()
    if counter is None:
        return replies.SHUTTING_DOWN
    who = request.user.get_username()
    test = Trial(sender.pk, sender.mailbox.address, recipient, test_id, who, "admin", "in the admin")
    return test.hand_in(counter, request)


def takes_mail(sender: SenderConfig) -> bool:
    return sender.active and sender.mailbox.registration.active


def queue_id_of(reply: Reply) -> str:
    return reply.line.rpartition(" ")[2]
