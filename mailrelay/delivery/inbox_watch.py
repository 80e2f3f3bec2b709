"""Mail that was sent and bounced later: the watcher of the senders' inboxes, off unless a setting says so.

What a report says is noted beside the message and moves nothing: anybody can send mail that looks like one.
"""

import logging
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import servable
from mailrelay.delivery.mailbox_requests import side_request
from mailrelay.graph import inbox
from mailrelay.graph.calls import Caller, Response
from mailrelay.graph.inbox import Listed, Report
from mailrelay.models import Delivery, Inbox, Mailbox, Message, NonDelivery, TimelineEntry
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.accepting.storing import KEY_LENGTH
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.settling import own_message_ids
from mailrelay.vocabulary import Reason, State

log = logging.getLogger(__name__)

#: How far back the first look goes, and how much of the last one is looked at again.
FIRST = timedelta(days=2)
AGAIN = timedelta(minutes=10)
#: A mailbox that refused is asked again after this time.
REFUSED = timedelta(hours=1)
#: Pages that one look reads, and mailboxes.
PAGES = 10
BOXES = 20


def look() -> None:
    """Read the inboxes whose time has come, as far as nothing is being sent from them."""
    if not settings.BOUNCE_WATCH_SECONDS:
        return
    now = clock.now()
    for mailbox in _due(now):
        if servable(mailbox.registration) and _mine(mailbox, now):
            _read(mailbox, now)


def _due(now: datetime) -> QuerySet[Mailbox]:
    before = now - timedelta(seconds=settings.BOUNCE_WATCH_SECONDS)
    boxes = Mailbox.objects.filter(
        Q(inbox=None) | Q(inbox__looked_at=None) | Q(inbox__looked_at__lte=before),
        senders__active=True,
        registration__active=True,
        registration__failing=Reason.NONE,
        blocked=Reason.NONE,
    ).exclude(inbox__refused_at__gt=now - REFUSED)
    # A request more than Graph takes of a mailbox at once would put its mail off.
    running = Delivery.objects.filter(IN_FLIGHT, mailbox=OuterRef("pk"))
    return boxes.filter(~Exists(running)).select_related("registration").distinct().order_by("pk")[:BOXES]


def _mine(mailbox: Mailbox, now: datetime) -> bool:
    """Take the look, unless another process was quicker."""
    before = now - timedelta(seconds=settings.BOUNCE_WATCH_SECONDS)

    def run() -> bool:
        Inbox.objects.get_or_create(mailbox=mailbox)
        due = Inbox.objects.filter(Q(looked_at=None) | Q(looked_at__lte=before), mailbox=mailbox)
        return bool(due.update(looked_at=now))

    return write(Move.REGISTER, run, durable=False)


def _read(mailbox: Mailbox, now: datetime) -> None:
    known = Inbox.objects.values_list("read_until", flat=True).get(mailbox=mailbox)
    since = max(known - AGAIN if known else now - FIRST, now - FIRST)
    for _ in range(PAGES):
        with side_request(mailbox, 2) as caller:  # for each page: mail waits for one alone
            if caller is None:
                return
            items, response = inbox.listed(caller, since)
            counted(response.answer)
            if items is None:
                _refused(mailbox, response, now)
            if items is None or not _note(mailbox, caller, items):
                return
        if len(items) < inbox.PAGE:
            _progress(mailbox, now)
            return
        since = items[-1].received_at
        _progress(mailbox, since)


def _note(mailbox: Mailbox, caller: Caller, items: list[Listed]) -> bool:
    """Take the reports among `items` in; False when one could not be read, and is to be read again."""
    seen = set(
        NonDelivery.objects.filter(report__in=[_key(item) for item in items]).values_list("report", flat=True)
    )
    for item in items:
        if not item.may_report or _key(item) in seen:
            continue
        raw, response = inbox.source(caller, item.id)
        counted(response.answer)
        if response.status not in {200, 404}:
            _refused(mailbox, response, clock.now())
            return False
        report = inbox.read(raw)
        if report is not None:
            write(Move.REPORT, partial(_link, mailbox, item, report))
    return True


def _key(item: Listed) -> str:
    return item.id[-200:]


def _link(mailbox: Mailbox, item: Listed, report: Report) -> None:
    """Note the report beside the newest message that it can be about, if that is one of this mailbox."""
    named = Message.objects.filter(message_id_key=report.message_id.lower()[:KEY_LENGTH])
    if (own := own_message_ids.message_of(report.message_id)) is not None:
        named = Message.objects.filter(pk=own)
    sent = named.filter(deliveries__mailbox=mailbox, deliveries__state=State.SENT)
    message = sent.filter(created_at__lte=item.received_at + AGAIN).order_by("-created_at").first()
    if message is None:
        return
    for failure in report.failures:
        _, new = NonDelivery.objects.get_or_create(
            message=message,
            report=_key(item),
            recipient=failure.recipient,
            defaults={
                "received_at": item.received_at,
                "status": failure.status,
                "diagnostic": failure.diagnostic,
            },
        )
        if new:
            text = f"Bounced later: {failure.recipient}. {failure.status} {failure.diagnostic}".strip()
            TimelineEntry.objects.create(message=message, at=item.received_at, text=text)
    log.info("%s bounced after it was sent: %d recipients", message.queue_id, len(report.failures))


def _refused(mailbox: Mailbox, response: Response, now: datetime) -> None:
    if response.status == 403:
        _keep(mailbox, refused_at=now)


def _progress(mailbox: Mailbox, until: datetime) -> None:
    _keep(mailbox, read_until=until, refused_at=None)


def _keep(mailbox: Mailbox, **columns: datetime | None) -> None:
    rows = Inbox.objects.filter(mailbox=mailbox)
    write(Move.REGISTER, lambda: rows.update(**columns), durable=False)
