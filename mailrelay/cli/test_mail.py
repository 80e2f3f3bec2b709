"""One mail through the whole path, with each step told as it is taken."""

import time
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from uuid import UUID

from django.conf import settings

from mailrelay.cli import own_listener
from mailrelay.cli.errors import CliError
from mailrelay.cli.own_listener import connect, hand_in
from mailrelay.cli.table import printable, stamp
from mailrelay.models import Delivery, Message, SenderConfig, SendLog
from mailrelay.outbox.db import clock
from mailrelay.routing.loading import load
from mailrelay.status import workers
from mailrelay.status.deliveries import chosen, of_delivery
from mailrelay.vocabulary import FINAL_STATES, Outcome, State

#: Seconds between two looks at the message.
INTERVAL = 0.1
#: Seconds that one SMTP command may take; the gateway itself answers within 10.
PATIENCE = 30.0
#: States in which waiting longer changes nothing.
DECIDED = (*FINAL_STATES, State.HELD)


class Trial:
    """A test mail on its way. `say` gets a line for each step, with the seconds since the start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._start = time.monotonic()
        self._told: set[str] = set()

    def run(self, recipient: str, sender: str | None, timeout: float) -> None:
        """Send a mail and wait `timeout` seconds at most for Graph to have it.

        Raises CliError with the reason and what to do, unless it was sent.
        """
        self._wait(self._submit(recipient, sender), timeout)

    def _submit(self, recipient: str, sender: str | None) -> UUID:
        """Hand the mail in over SMTP; return its message's id."""
        routing = load()
        mail_from = sender or self._own_address()
        way = own_listener.find(routing)
        self._step(f"connecting to {way.name}")
        client = connect(way, PATIENCE)
        try:
            self._step(f"greeted by {settings.SMTP_HOSTNAME} on {way.name}")
            mail = _mail(mail_from, recipient)
            reply = hand_in(client, mail_from, recipient, mail.as_bytes(policy=policy.SMTP))
        finally:
            client.close()
        self._step(f"accepted for <{recipient}> from <{mail_from}>: {reply}")
        return _stored(mail["Message-ID"])

    def _own_address(self) -> str:
        default = load().default_sender
        if default is None:
            raise CliError(
                "There is no default sender whose address the test mail could come from. Name one with "
                "--from, or set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and SENDER_EMAIL."
            )
        return default.mailbox_address

    def _wait(self, message_id: UUID, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            message = Message.objects.get(pk=message_id)
            self._tell(message)
            if message.state in DECIDED:
                break
            if time.monotonic() >= end:
                raise CliError(_late(message, timeout))
            time.sleep(INTERVAL)
        if message.state != State.SENT:
            raise CliError(f"The mail is {message.state}. {_why(message)}")
        self._step("sent: Graph has taken the mail. Whether it arrives is up to Exchange from here on.")

    def _tell(self, message: Message) -> None:
        """Tell every step that is new since the last look."""
        for attempt in SendLog.objects.filter(message=message).order_by("pk"):
            self._once(f"began {attempt.pk}", f"attempt {attempt.number}: a worker asks Graph")
            if attempt.outcome:
                self._once(f"ended {attempt.pk} {attempt.outcome}", _outcome(attempt))
        for delivery in Delivery.objects.filter(message=message).exclude(last_error=""):
            text = printable(delivery.last_error)
            self._once(f"{delivery.state} {text}", f"{delivery.state}: {text}")

    def _once(self, key: str, line: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._step(line)

    def _step(self, line: str) -> None:
        self._say(f"{time.monotonic() - self._start:7.2f} s  {line}")


def address_of(sender: SenderConfig) -> str:
    """Give a From by which mail comes to `sender`. Raises CliError where none of its own does."""
    routing = load()
    if routing.only(sender.pk).senders:
        for address in (sender.mailbox.address, *sorted(sender.address_list)):
            chosen = routing.sender_for(address)
            if chosen is not None and chosen.id == sender.pk:
                return address
        raise CliError(
            f"Mail from {sender.mailbox.address} goes by another sender than {sender.name}, which has no "
            "From address of its own. Test it on its page in the admin, or give it an address."
        )
    raise CliError(f"The sender {sender.name} takes no mail: it or its app registration is switched off.")


def _mail(mail_from: str, recipient: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = mail_from, recipient
    mail["Subject"] = "Test of the mail gateway"
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = make_msgid("sendtest", settings.SMTP_HOSTNAME)
    mail.set_content(
        f"This is a test mail. {settings.SMTP_HOSTNAME} accepted it over SMTP and delivered it through "
        "Microsoft Graph.\n\nIf you did not expect it, ignore it: somebody tried out `manage.py sendtest`.\n"
    )
    return mail


def _stored(message_id: str) -> UUID:
    found = Message.objects.filter(message_id_key=message_id.strip("<>").lower())
    stored = found.values_list("pk", flat=True).first()
    if stored is None:
        raise CliError(
            "The mail was accepted, but it is not in the database that this command uses: the listener has "
            "another one. Run the command with the listener's DATABASE_URL or DATA_DIR."
        )
    return stored


def _outcome(attempt: SendLog) -> str:
    took = f" after {attempt.duration_ms / 1000:.2f} s" if attempt.duration_ms is not None else ""
    status = f"HTTP {attempt.http_status}" if attempt.http_status else "no answer"
    said = printable(f"{attempt.sentence} {attempt.advice}".strip())
    trace = f" (request-id {printable(attempt.request_id)})" if attempt.request_id else ""
    return f"attempt {attempt.number}: {status}{took}, {attempt.outcome}. {said}{trace}"


def _why(message: Message) -> str:
    """Give the newest reason that is on record, with the advice that came with it."""
    told = (
        Delivery.objects.filter(message=message).exclude(last_error="").values_list("last_error", flat=True)
    )
    if reason := told.first():
        return printable(reason)
    failed = SendLog.objects.filter(message=message).exclude(outcome__in=["", Outcome.SENT])
    attempt = failed.order_by("-pk").first()
    return printable(f"{attempt.sentence} {attempt.advice}".strip()) if attempt else "No reason is on record."


def _late(message: Message, timeout: float) -> str:
    """Say why a mail is still under way, from the nearest cause to the farthest."""
    start = f"After {timeout:g} s the mail is {message.state}, and is delivered when it can be."
    follow_up = f"Follow it with: manage.py mailq show {message.queue_id}"
    delivery = chosen(message=message).first()
    if delivery is None:
        return f"{start} {follow_up}"
    now = clock.now()
    reason = of_delivery(delivery, now, workers.served_queues(now)).text(stamp)
    return f"{start} {printable(reason)} {follow_up}"
