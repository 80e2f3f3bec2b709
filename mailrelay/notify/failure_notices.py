"""Sends notices of mail that failed or waits: to its sender, the operations address, a webhook, or nobody.

RFC 5321 section 6.1 asks for a report on whatever was accepted and not delivered; section 4.5.5 forbids one
about a report. Since Graph cannot send from <>, one goes only where it cannot become backscatter: to an
address that a sender or a client of ours owns, or to the operations address.
"""

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.conf import settings

from mailrelay.graph.http import Timeouts
from mailrelay.models import Delivery, Message, Recipient, SenderConfig, SendLog
from mailrelay.notify import bounce_messages, webhook
from mailrelay.notify.bounce_messages import RecipientStatus, ReportedMessage
from mailrelay.outbox.db import clock
from mailrelay.outbox.keeping import content
from mailrelay.outbox.rules import age
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.settling import reports
from mailrelay.outbox.settling.reports import OwnMail
from mailrelay.periodic import PeriodicThread
from mailrelay.routing import loading
from mailrelay.routing.table import RoutingTable
from mailrelay.vocabulary import BouncePolicy, Reason, Report, State

log = logging.getLogger(__name__)

#: Seconds between two looks for what is to be told.
INTERVAL = 2.0
#: Seconds after which everything that waits is looked at again, not only what is newly late.
LOOK_AGAIN = 3600.0
#: Warnings of delays that one address gets within an hour; a backlog must not become a flood.
MOST_WARNINGS = 20
WEBHOOK_TIMEOUTS = Timeouts(connect=10.0, stall=10.0, total=30.0)
#: Bytes up to which a mail is sent back whole where RET=FULL asks for it; RFC 3461 section 4.3 leaves the
#: header alone to those that are larger.
MOST_RETURNED = 1_048_576
#: What a failure without an enhanced status code of its own is called (RFC 3463).
STATUSES = {
    Reason.TOO_OLD: "5.4.7",
    Reason.TOO_LARGE: "5.3.4",
    Reason.UNCERTAIN: "5.4.2",
    Reason.MAILBOX_FULL: "5.2.2",
    Reason.LOOP: "5.4.6",
}


class Reporter(PeriodicThread):
    """Tells about what failed, and warns of what is late. One a process that delivers."""

    name = "reports"
    interval = delay = patience = INTERVAL

    def __init__(self) -> None:
        super().__init__()
        self._warned_up_to: datetime | None = None
        self._look_again_at = 0.0

    def run_once(self) -> None:
        while (failed := reports.failed()) and self._told(Report.FAILURE, failed):
            pass
        if settings.DELAY_WARNING_SECONDS:
            self._warn()

    def _warn(self) -> None:
        now = clock.now()
        if time.monotonic() >= self._look_again_at:
            # What was in a worker's hands, or held, when its time came is found by looking at all of it.
            self._look_again_at, self._warned_up_to = time.monotonic() + LOOK_AGAIN, None
        while late := reports.waiting(self._warned_up_to):
            if not self._told(Report.DELAY, late):
                return
            queued = [row.aged_from for row in late if row.state not in (State.HELD, State.UNCERTAIN)]
            self._warned_up_to = max(queued, default=self._warned_up_to)
        self._warned_up_to = age.ago(timedelta(seconds=settings.DELAY_WARNING_SECONDS), now)

    def _told(self, kind: Report, deliveries: list[Delivery]) -> bool:
        """Tell about a batch, then rest for as long as that took; whether to go on with the next."""
        started = time.monotonic()
        return tell(kind, deliveries) > 0 and not self.ended.wait(time.monotonic() - started)


def tell(kind: Report, deliveries: list[Delivery]) -> int:
    """Report `deliveries`, message by message, as each one's sender wants it; return how many are done."""
    routing = loading.load()
    ordered = sorted(deliveries, key=lambda row: (row.message_id, row.pk))
    told, silent = 0, []
    for _, parts in groupby(ordered, key=lambda row: row.message_id):
        rows = list(parts)
        if _policy(rows[0]) == BouncePolicy.NONE or _too_many(kind, rows[0], routing):
            silent += [row.pk for row in rows]
        else:
            told += len(rows) if _tell_of(kind, rows, routing) else 0
    # In one transaction: a backlog must not cost one for each of its mails.
    return told + (len(silent) if silent and reports.close(kind, silent, "") else 0)


def _policy(row: Delivery) -> BouncePolicy:
    """Return what the sender wants; a word of another version leaves it to the setting, as none does."""
    own = row.sender.bounce_policy
    return BouncePolicy(own if own and own in list(BouncePolicy) else settings.BOUNCE_POLICY)


def _too_many(kind: Report, row: Delivery, routing: RoutingTable) -> bool:
    """Whether the person to be warned has had enough warnings within the hour; a failure is always told."""
    if kind != Report.DELAY or _policy(row) == BouncePolicy.WEBHOOK:
        return False
    return reports.warned_lately(_addressee(row, routing)) >= MOST_WARNINGS


def _tell_of(kind: Report, rows: list[Delivery], routing: RoutingTable) -> bool:
    message, ids = rows[0].message, [row.pk for row in rows]
    if message.report:
        return reports.close(kind, ids, "It was a report itself: nobody is told.")
    if _policy(rows[0]) == BouncePolicy.WEBHOOK:
        return _call(kind, rows)
    return _write_to(_addressee(rows[0], routing), kind, rows)


def _addressee(row: Delivery, routing: RoutingTable) -> str:
    """Choose who is written to: never a stranger, and never the empty sender of a report of others'."""
    operations: str = settings.OPERATIONS_ADDRESS or row.mailbox.address
    own = _policy(row) == BouncePolicy.SENDER and owned(row.message.mail_from, routing)
    return row.message.mail_from if own else operations


def owned(address: str, routing: RoutingTable) -> bool:
    """Whether `address` belongs to one of our senders, or to a client whose addresses are listed."""
    if not address:
        return False
    clients = (client for client in routing.clients if client.allowed_from)
    return any(sender.serves(address) for sender in routing.senders) or any(
        client.may_use(address) for client in clients
    )


def _write_to(address: str, kind: Report, rows: list[Delivery]) -> bool:
    message, ids = rows[0].message, [row.pk for row in rows]
    # What the client asked for is about reports to its sender; the operations address is told all.
    statuses = list(_outcomes(rows, kind, asked=address == message.mail_from))
    if not statuses:
        return reports.close(kind, ids, "Nobody is told: the client asked for no such report (NOTIFY).")
    sender = _way(rows[0], kind)
    if sender is None:
        return reports.close(kind, ids, "Nobody could be told: no mailbox of ours can carry a report now.")
    own_mail = OwnMail(
        about=message.pk,
        kind=kind,
        to=address,
        sender_id=sender.pk,
        mailbox_id=sender.mailbox_id,
        mailbox_address=sender.mailbox.address,
        subject=bounce_messages.title(kind, message.subject),
        hostname=settings.SMTP_HOSTNAME,
    )
    whole = bounce_messages.compose(own_mail, _subject(message, kind), statuses, clock.now())
    what = "The failure is reported" if kind == Report.FAILURE else "The delay is reported"
    text = f"{what} to <{address}> with the message {own_mail.id.hex}."
    told = reports.post(own_mail.with_content(whole), ids, text)
    if told:
        log.info("%s: %s", message.queue_id, text)
        scheduler.wake(own_mail.mailbox_id)
    return told


def _way(row: Delivery, kind: Report) -> SenderConfig | None:
    """Choose the sender that carries a report; a warning that would wait itself is none."""
    ways = reports.ways(row.sender_id, row.mailbox.registration.tenant_id)
    if kind == Report.DELAY:
        ways = [sender for sender in ways if reports.works(sender)]
    return ways[0] if ways else None


def _subject(message: Message, kind: Report) -> ReportedMessage:
    header = b"" if message.content_removed_at else next(content.stream(message.pk), b"")
    full = kind == Report.FAILURE and message.dsn_ret == "FULL" and message.size <= MOST_RETURNED
    return ReportedMessage(
        queue_id=message.queue_id,
        accepted_at=message.created_at,
        mail_from=message.mail_from,
        header_from=message.header_from,
        subject=message.subject,
        message_id=message.message_id,
        header=header,
        whole=b"".join(content.stream(message.pk)) if full and header else b"",
        envid=message.dsn_envid,
    )


def _outcomes(rows: list[Delivery], kind: Report, *, asked: bool = False) -> Iterator[RecipientStatus]:
    """Tell recipient by recipient how they fare; `asked` leaves out what the client does not want to hear."""
    now = clock.now()
    for row in rows:
        attempt = SendLog.objects.filter(delivery=row).order_by("-number").first()
        for recipient in Recipient.objects.filter(delivery=row).order_by("pk"):
            if asked and not _wanted(recipient.dsn_notify, kind):
                continue
            yield RecipientStatus(
                address=recipient.address,
                status=_status(row, attempt, kind),
                sentence=row.last_error or (attempt.sentence if attempt else ""),
                graph_code=attempt.graph_code if attempt else "",
                last_attempt=attempt.started_at if attempt else None,
                retried_until=now + age.most() - age.of(row.aged_from, now) if kind == Report.DELAY else None,
                maybe_delivered=row.state == State.UNCERTAIN,
                original=recipient.dsn_orcpt,
            )


def _wanted(notify: str, kind: Report) -> bool:
    """Whether NOTIFY wants such a report (RFC 3461 section 4.1); a client that does not say gets them all."""
    return not notify or ("FAILURE" if kind == Report.FAILURE else "DELAY") in notify.split(",")


def _status(row: Delivery, attempt: SendLog | None, kind: Report) -> str:
    """Choose the enhanced status code: that of the last answer where it fits, else that of the reason."""
    given = attempt.enhanced_status if attempt else ""
    if kind == Report.DELAY:
        return given if given.startswith("4.") else "4.0.0"
    if given.startswith("5.") and row.reason not in STATUSES:
        return given
    return STATUSES.get(Reason(row.reason), given if given.startswith("5.") else "5.0.0")


# --- The webhook ---------------------------------------------------------------------------------------


def _call(kind: Report, rows: list[Delivery]) -> bool:
    """Post a notice; what is not taken is posted again in a minute, by whichever process looks first."""
    message, ids = rows[0].message, [row.pk for row in rows]
    if _given_up(rows[0]):
        return reports.close(kind, ids, "The webhook took no notice of it in time: nobody was told.")
    if not reports.reserve(ids):
        return False
    key = f"{message.queue_id}:{kind}:{ids[0]}"
    document = notice(kind, rows)
    refused = webhook.send(settings.NOTICE_WEBHOOK_URL, document, key, timeouts=WEBHOOK_TIMEOUTS)
    if refused:
        log.warning("%s: the webhook did not take the notice (%s)", message.queue_id, refused)
        return False
    return reports.close(kind, ids, "The webhook was told.")


def _given_up(row: Delivery) -> bool:
    return age.of(row.aged_from) > age.most() + timedelta(days=2)


def notice(kind: Report, rows: list[Delivery]) -> dict[str, Any]:
    """Make what the webhook is told. It may come twice; `id` and `event` say so."""
    message = rows[0].message
    return {
        "event": "failed" if kind == Report.FAILURE else "delayed",
        "id": message.queue_id,
        "message_id": message.message_id,
        "accepted_at": message.created_at.isoformat(),
        "mail_from": message.mail_from,
        "subject": message.subject,
        "sender": rows[0].sender.name,
        "mailbox": rows[0].mailbox.address,
        "recipients": [
            {
                "address": outcome.address,
                "status": outcome.status,
                "code": outcome.graph_code,
                "text": outcome.sentence,
            }
            for outcome in _outcomes(rows, kind)
        ],
    }
