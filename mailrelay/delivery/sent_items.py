"""Copies in Sent Items, removed after the fact: sendMail with MIME always leaves one.

https://learn.microsoft.com/graph/api/user-sendmail knows saveToSentItems beside JSON alone. A copy shows
after seconds or minutes, under the Message-ID of its mail if Exchange has kept that. What stays is told on
the timeline.
"""

from datetime import timedelta

from mailrelay.delivery import access, copy_matching
from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import servable
from mailrelay.delivery.mailbox_requests import side_request
from mailrelay.graph import drafts, folders
from mailrelay.graph.calls import Caller
from mailrelay.models import SendLog
from mailrelay.outbox.db import clock
from mailrelay.outbox.settling import sent_copies
from mailrelay.vocabulary import Outcome, Reason

#: Attempts that one look deals with.
BATCH = 10
#: How soon a copy is looked for again at first; then after as long as its mail has been sent.
SOON = timedelta(seconds=5)
#: When it is given up: a copy that has not come by then has another Message-ID, or was removed by somebody.
PATIENCE = timedelta(hours=1)
#: How far Graph's clock may be from ours.
CLOCKS = timedelta(minutes=5)

DENIED = (
    "The copy in Sent Items stays: the application may not change the mailbox. Grant it Mail.ReadWrite "
    "there, or let the sender keep its copies."
)
NOT_FOUND = (
    "The copy in Sent Items was not found under the Message-ID of this mail within an hour; it may be there."
)


def look() -> int:
    """Remove copies whose mail was sent; return how many attempts were looked at."""
    due = SendLog.objects.filter(copy_due_at__lte=clock.now()).order_by("copy_due_at")
    rows = due.select_related("message", "delivery__mailbox__registration")[:BATCH]
    return sum(sent_copies.take(row, SOON) and _see_to(row) for row in rows)


def _see_to(row: SendLog) -> bool:
    mailbox = row.delivery.mailbox
    age = clock.now() - (row.finished_at or row.started_at)
    if row.outcome not in {"", Outcome.SENT, Outcome.UNCERTAIN}:
        sent_copies.done(row)
    elif row.outcome != Outcome.SENT:  # it may still turn out to have been sent
        sent_copies.later(row, max(SOON, age))
    elif mailbox.can_draft is False:
        sent_copies.done(row, DENIED)
    elif mailbox.blocked != Reason.NONE or not servable(mailbox.registration) or copy_matching.in_doubt(row):
        sent_copies.later(row, max(SOON, age))
    else:
        _remove(row, age)
    return True


def _remove(row: SendLog, age: timedelta) -> None:
    """Remove what lies in Sent Items under the Message-ID since the attempt began."""
    with side_request(row.delivery.mailbox, 2) as caller:
        if caller is None:  # no token, or mail needs all that the mailbox may be asked
            sent_copies.later(row, max(SOON, age))
            return
        found, response = folders.find(caller, folders.SENT_ITEMS, f"<{row.delivery.sent_under}>")
        counted(response.answer)
        since = row.started_at - CLOCKS
        mine = [item for item in found or () if item.created_at and item.created_at > since]
        statuses = [_deleted(caller, item.id) for item in mine]
    if 403 in [*statuses, response.status]:
        access.denied(row.delivery.mailbox)
        sent_copies.done(row, DENIED)
    elif mine and all(status in {204, 404} for status in statuses):
        sent_copies.done(row, "The copy in Sent Items was removed.")
    elif found == [] and age > PATIENCE:
        sent_copies.done(row, NOT_FOUND)
    else:
        sent_copies.later(row, max(SOON, age))


def _deleted(caller: Caller, item_id: str) -> int | None:
    response = drafts.delete(caller, item_id)
    counted(response.answer)
    return response.status
