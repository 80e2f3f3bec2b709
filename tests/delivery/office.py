"""Delivery inside this process: rows, a worker's turns one by one, a real sandbox, and time that is moved.

What is under test is all there: claim, lease, compose, token, request over TLS, settle. Two things are not:
the broker, whose tasks are carried out here one after the other, and waiting.
"""

from datetime import timedelta

from mailrelay.delivery import pipeline, tokens
from mailrelay.models import (
    AppRegistration,
    Delivery,
    Mailbox,
    Recipient,
    SenderConfig,
    SendLog,
    TimelineEntry,
)
from mailrelay.outbox.claiming import publish
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.rules import age
from mailrelay.outbox.scheduling import scheduler
from sandbox.client import SandboxProcess
from sandbox.world import CLIENT, TENANT
from tests.outbox import rows

#: Exchange refuses a mail for now, and has certainly not sent it: a fault's `status` and `code`.
CONFLICT = {"status": 409, "code": "ErrorIrresolvableConflict"}
MAIL = "From: app@contoso.test\r\nTo: {to}\r\nSubject: mail\r\nMessage-ID: <{id}>\r\n\r\nbody\r\n"


class Office:
    """One registration with one mailbox at the sandbox, a queue, and hands to work it off."""

    def __init__(self, sandbox: SandboxProcess, monkeypatch) -> None:
        self.sandbox = sandbox
        self._ahead = timedelta(0)
        self._published: list[publish.Reservation] = []
        self._seen = len(sandbox.ledger())
        now = clock.now
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
        monkeypatch.setattr(clock, "now", lambda: now() + self._ahead)
        monkeypatch.setattr(publish, "publish", self._published.extend)
        monkeypatch.setattr(tokens, "_edge", None)
        rows.workers()
        self.registration = self.app("app", CLIENT, "sandbox-secret")
        self.mailbox = self.box("gateway@contoso.test")

    def app(self, name: str, client_id: str, secret: str, tenant_id: str = TENANT, **more) -> AppRegistration:
        url = self.sandbox.base_url
        return AppRegistration.objects.create(
            name=name,
            tenant_id=tenant_id,
            client_id=client_id,
            secret=secret,
            authority_host=url,
            graph_endpoint=url,
            **more,
        )

    def box(self, address: str, app: AppRegistration | None = None, **sender) -> Mailbox:
        box = Mailbox.objects.create(
            registration=app or self.registration, address=address, messages_per_minute=0
        )
        SenderConfig.objects.create(name=address, mailbox=box, **sender)
        return box

    def queue(self, count: int = 1, box: Mailbox | None = None, to=("ann@example.org",), **more):
        """Queue `count` mails that tell their number, and wake the mailbox as an accept does."""
        box = box or self.mailbox
        deliveries = rows.queue(box, count, recipients=len(to), **more)
        for delivery in deliveries:
            text = MAIL.format(to=", ".join(to), id=delivery.message.message_id)
            rows.give(delivery, text.encode())
            Recipient.objects.filter(delivery=delivery).delete()
            Recipient.objects.bulk_create(
                Recipient(message=delivery.message, delivery=delivery, address=a, address_key=a.lower())
                for a in to
            )
        Mailbox.objects.filter(pk=box.pk).update(wake_at=clock.now())
        return deliveries

    def one(self, **more) -> Delivery:
        (delivery,) = self.queue(1, **more)
        return delivery

    def work(self, turns: int = 50) -> None:
        """Let scheduler and workers do all that is due at this moment of the clock."""
        for _ in range(turns):
            scheduler.tick()
            if not self._published:
                return
            while self._published:
                reservation = self._published.pop(0)
                pipeline.deliver(reservation.delivery_id, reservation.token)
        raise AssertionError(f"work goes on after {turns} turns")

    @staticmethod
    def beat() -> None:
        """Give a sign of a worker's life: from there on, time counts only between such signs."""
        write(Move.REGISTER, lambda: age.note(clock.now()))

    def reserve(self) -> list[publish.Reservation]:
        """Let the scheduler claim; return what it published, which nobody carries out."""
        scheduler.tick()
        taken = list(self._published)
        self._published.clear()
        return taken

    def later(self, seconds: float) -> None:
        """Move the clock of the queue forward, and do what is due then."""
        self._ahead += timedelta(seconds=seconds)
        self._age_refusals(seconds)
        rows.workers()
        self.work()

    @staticmethod
    def _age_refusals(seconds: float) -> None:
        _, store = tokens.graph_clients()
        for entry in store._store.entries.values():
            entry.not_before -= seconds
            entry.failed_at = entry.failed_at and entry.failed_at - seconds

    def requests(self, kind: str = "sendMail", box: Mailbox | None = None) -> list[dict]:
        """List what reached the sandbox since this office opened, without rehearsals."""
        return [line for line in self._lines(kind, box) if not _is_rehearsal(line)]

    def rehearsals(self, box: Mailbox | None = None) -> list[dict]:
        """List the requests to send that carried no mail."""
        return [line for line in self._lines("sendMail", box) if _is_rehearsal(line)]

    def _lines(self, kind: str, box: Mailbox | None) -> list[dict]:
        address = box.address if box else None
        lines = self.sandbox.ledger()[self._seen :]
        return [
            line for line in lines if line["kind"] == kind and (address is None or line["mailbox"] == address)
        ]

    def delivered(self) -> list[str]:
        """List the Message-IDs of all copies that the sandbox delivered."""
        return [mail["internet_message_id"] for mail in self.sandbox.deliveries()]

    @staticmethod
    def states(box: Mailbox | None = None) -> list[str]:
        found = Delivery.objects.order_by("pk")
        return list((found.filter(mailbox=box) if box else found).values_list("state", flat=True))


def _is_rehearsal(line: dict) -> bool:
    return line["kind"] == "sendMail" and line.get("request_bytes") == 1


def fresh(row):
    row.refresh_from_db()
    return row


def log(delivery: Delivery) -> list[SendLog]:
    return list(SendLog.objects.filter(delivery=delivery).order_by("number"))


def timeline(delivery: Delivery) -> str:
    entries = TimelineEntry.objects.filter(delivery=delivery).order_by("pk")
    return "\n".join(entries.values_list("text", flat=True))


def count(name: str) -> int:
    return counters.totals()[name]
