"""Drafts that attempts left behind, removed when they can be, lest mailboxes fill up with halves of mail."""

from datetime import timedelta
from uuid import uuid4

from django.db.models import Q

from mailrelay.delivery import tokens
from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import credential_of, servable
from mailrelay.graph import drafts
from mailrelay.graph.calls import Caller
from mailrelay.graph.drafts import DraftState
from mailrelay.graph.http import Timeouts
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.models import SendLog
from mailrelay.outbox import clock, leases
from mailrelay.vocabulary import FINAL_STATES, Outcome

#: Drafts that one look deals with, and the age beyond which nobody looks.
BATCH = 20
OLDEST = timedelta(days=7)


def sweep() -> int:
    """Remove drafts of attempts that are over without having sent them; return how many are dealt with."""
    over = ~Q(outcome__in=["", Outcome.SENT, Outcome.UNCERTAIN])
    settled_otherwise = Q(outcome=Outcome.UNCERTAIN, delivery__state__in=FINAL_STATES)
    rows = SendLog.objects.filter(over | settled_otherwise, started_at__gt=clock.now() - OLDEST)
    left = rows.exclude(draft_id="").select_related("delivery__mailbox__registration")
    return sum(_remove(row) for row in left.order_by("started_at")[:BATCH])


def _remove(row: SendLog) -> bool:
    mailbox = row.delivery.mailbox
    if not servable(mailbox.registration):
        return False
    credential = credential_of(mailbox.registration)
    session, _ = tokens.edge()
    try:
        token = tokens.token_for(credential)
    except TokenUnavailable:
        return False
    caller = Caller(session, token, credential, mailbox.graph_user, str(uuid4()), Timeouts(total=30.0))
    state, response = drafts.state(caller, row.draft_id)
    if state is DraftState.OPEN:  # a draft that was sent keeps its id: that is the copy in Sent Items
        response = drafts.delete(caller, row.draft_id)
    counted(response.answer)
    gone = state in (DraftState.SENT, DraftState.ABSENT) or response.status in (204, 404)
    if gone:
        leases.forget_draft(row.pk)
    return gone
