"""Drafts that attempts left behind, removed so that mailboxes do not fill up with parts of mail.

Most are known by their id. Of a draft whose creation had no answer there is only the Message-ID: what lies in
Drafts under it, was made since the attempt began, and belongs to no attempt that still counts, is such a one.
"""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Q, QuerySet

from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import servable
from mailrelay.delivery.mailbox_requests import side_request
from mailrelay.graph import drafts, folders
from mailrelay.graph.calls import Caller
from mailrelay.graph.drafts import DraftState
from mailrelay.models import Delivery, SendLog
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import FINAL_STATES, Outcome, Reason

#: Drafts of one kind that one look deals with, and the age beyond which nobody looks.
BATCH = 20
OLDEST = timedelta(days=7)
#: How long Graph may still be at a creation whose answer was lost, and how far its clock may be off.
STILL_AT_IT = timedelta(minutes=10)
CLOCKS = timedelta(minutes=5)


def sweep() -> int:
    """Remove drafts of attempts that are over without having sent them; return how many are dealt with."""
    return sum(map(_remove, _some(_known()))) + sum(map(_look_for, _some(_asked_for())))


def _known() -> QuerySet[SendLog]:
    over = ~Q(outcome__in=["", Outcome.SENT, Outcome.UNCERTAIN])
    settled_otherwise = Q(outcome=Outcome.UNCERTAIN, delivery__state__in=FINAL_STATES)
    return SendLog.objects.filter(over | settled_otherwise).exclude(draft_id="")


def _asked_for() -> QuerySet[SendLog]:
    return SendLog.objects.filter(draft_asked=True, finished_at__isnull=False)


def _some(rows: QuerySet[SendLog]) -> Iterator[SendLog]:
    """Take some of `rows` at random, so that rows that fail do not stand before all others."""
    working = rows.filter(
        started_at__gt=clock.now() - OLDEST,
        delivery__mailbox__blocked=Reason.NONE,
        delivery__mailbox__registration__failing=Reason.NONE,
    )
    found = working.select_related("message", "delivery__mailbox__registration").order_by("?")[:BATCH]
    return (row for row in found if servable(row.delivery.mailbox.registration))


def _remove(row: SendLog) -> bool:
    with side_request(row.delivery.mailbox, 2) as caller:
        if caller is None or not _gone(caller, row.draft_id):
            return False
    leases.forget_draft(row.pk)
    return True


def _look_for(row: SendLog) -> bool:
    """Look for the draft that an attempt asked for without an answer; whether that is done with."""
    with side_request(row.delivery.mailbox, 3) as caller:
        over = caller is not None and _all_gone(caller, row)
    if over:
        leases.forget_draft(row.pk)
    return over


def _all_gone(caller: Caller, row: SendLog) -> bool:
    found, response = folders.find(caller, folders.DRAFTS, f"<{row.delivery.sent_under}>")
    counted(response.answer)
    # Only after the look: whose draft was made before it is in flight still, or has its id on record.
    if found is None or _in_flight(row):
        return False
    since = row.started_at - CLOCKS
    mine = {item.id for item in found if item.created_at is not None and item.created_at > since}
    mine -= set(SendLog.objects.filter(draft_id__in=mine).values_list("draft_id", flat=True))
    gone = [_gone(caller, draft_id) for draft_id in mine]
    assert row.finished_at is not None
    return all(gone) and (bool(gone) or clock.now() - row.finished_at >= STILL_AT_IT)


def _in_flight(row: SendLog) -> bool:
    """Whether a mail with the same Message-ID is at this moment on its way through the same mailbox."""
    others = Delivery.objects.filter(IN_FLIGHT, mailbox=row.delivery.mailbox)
    return others.filter(message__message_id_key=row.message.message_id_key).exists()


def _gone(caller: Caller, draft_id: str) -> bool:
    """Remove a draft unless it was sent: it keeps its id, and is the copy in Sent Items then."""
    state, response = drafts.state(caller, draft_id)
    if state is DraftState.OPEN:
        response = drafts.delete(caller, draft_id)
    counted(response.answer)
    return state in (DraftState.SENT, DraftState.ABSENT) or response.status in (204, 404)
