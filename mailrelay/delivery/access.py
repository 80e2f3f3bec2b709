"""What the app registrations may do in their mailboxes: found out before mail depends on it.

A token that names Mail.ReadWrite settles it. One that does not settles nothing, since RBAC for Applications
grants by mailbox and shows in no token: there a draft is made and deleted, while the mailbox is idle.
"""

import logging
from datetime import datetime, timedelta
from uuid import uuid4

from django.db.models import Q

from mailrelay.delivery import tokens
from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import credential_of, servable
from mailrelay.graph import drafts
from mailrelay.graph.calls import Caller
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import Timeouts
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.models import Delivery, Mailbox, SenderConfig
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox import clock
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import LargeMail, SentItems

log = logging.getLogger(__name__)

WRITE = "Mail.ReadWrite"
READ = frozenset({WRITE, "Mail.Read", "Mail.ReadBasic", "Mail.ReadBasic.All"})
#: Seconds after which an answer is asked for again: none, a no, and a yes that no token confirms.
AGAIN = {None: timedelta(minutes=1), False: timedelta(hours=1), True: timedelta(days=1)}
SUBJECT = "Permission check of the mail gateway: this draft may be deleted"


def look() -> None:
    """Find out about every mailbox in use of which it is not known, or not lately."""
    boxes = Mailbox.objects.filter(senders__active=True, registration__active=True).distinct()
    for mailbox in boxes.select_related("registration").order_by("pk"):
        if servable(mailbox.registration):
            _look_at(mailbox)


def denied(mailbox: Mailbox) -> None:
    """Note that Graph refused a draft."""
    _note(mailbox, can_draft=False, can_read=mailbox.can_read)


def _look_at(mailbox: Mailbox) -> None:
    credential = credential_of(mailbox.registration)
    _, store = tokens.edge()
    status = store.status(credential)
    if not status.valid:
        return
    roles = frozenset(status.roles or ())
    if WRITE in roles:
        if not (mailbox.can_draft and mailbox.can_read):
            _note(mailbox, can_draft=True, can_read=True)
    elif _is_due(mailbox, clock.now()):
        can_draft = _probed(mailbox, credential)
        _note(mailbox, can_draft=can_draft, can_read=bool(roles & READ) or can_draft)


def _is_due(mailbox: Mailbox, now: datetime) -> bool:
    """Whether to ask Graph: somebody wants to know, it was not lately, and no slot is taken from mail."""
    asked = mailbox.access_checked_at
    if asked is not None and now - asked < AGAIN[mailbox.can_draft]:
        return False
    wishes = Q(large_mail=LargeMail.AUTO) | Q(sent_items=SentItems.REMOVE)
    wanted = SenderConfig.objects.filter(wishes, mailbox=mailbox, active=True)
    return wanted.exists() and not Delivery.objects.filter(IN_FLIGHT, mailbox=mailbox).exists()


def _probed(mailbox: Mailbox, credential: Credential) -> bool | None:
    """Ask Graph about drafts; None where there is no token either."""
    session, _ = tokens.edge()
    try:
        token = tokens.token_for(credential)
    except TokenUnavailable:
        return None
    return may_draft(
        Caller(session, token, credential, mailbox.graph_user, str(uuid4()), Timeouts(total=30.0))
    )


def may_draft(caller: Caller) -> bool | None:
    """Make a draft and delete it; None when the answer says nothing of permissions."""
    made = drafts.create_from_json(caller, {"subject": SUBJECT})
    counted(made.answer)
    if made.status == 201 and made.document.get("id"):
        counted(drafts.delete(caller, str(made.document["id"])).answer)
        return True
    return False if made.status == 403 and made.answer.is_json_error else None


def _note(mailbox: Mailbox, *, can_draft: bool | None, can_read: bool | None) -> None:
    def run() -> None:
        Mailbox.objects.filter(pk=mailbox.pk).update(
            can_draft=can_draft, can_read=can_read, access_checked_at=clock.now()
        )

    write(Move.REGISTER, run, durable=False)
    if can_draft != mailbox.can_draft:
        word = {None: "not known", True: "yes", False: "no"}[can_draft]
        log.info("large mail through %s: %s", mailbox.address, word)
