"""Finds out what the app registrations may do in their mailboxes, before mail depends on it.

A token that names Mail.ReadWrite settles it. One that does not settles nothing, since RBAC for Applications
grants by mailbox and shows in no token: there a draft is made and deleted, while the mailbox is idle.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q

from mailrelay.delivery import tokens
from mailrelay.delivery.answers import counted
from mailrelay.delivery.credentials import credential_of, servable
from mailrelay.delivery.mailbox_requests import side_request
from mailrelay.graph import drafts
from mailrelay.graph.calls import Caller
from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.vocabulary import LargeMail, SentItems

log = logging.getLogger(__name__)

WRITE = "Mail.ReadWrite"
READ = frozenset({WRITE, "Mail.Read", "Mail.ReadBasic", "Mail.ReadBasic.All"})
#: Seconds after which an answer is asked for again: none, a no, and a yes that no token confirms.
AGAIN = {None: timedelta(minutes=1), False: timedelta(hours=1), True: timedelta(days=1)}
#: Mailboxes of a registration that one look asks Graph about.
BATCH = 20
SUBJECT = "Permission check of the mail gateway: this draft may be deleted"


def look() -> None:
    """Find out about the mailboxes in use of which it is not known, or not lately."""
    for registration in AppRegistration.objects.filter(active=True).order_by("pk"):
        if servable(registration):
            _look_at(registration)


def denied(mailbox: Mailbox) -> None:
    """Note that Graph refused a draft."""
    _note(mailbox, can_draft=False, can_read=mailbox.can_read)


def _look_at(registration: AppRegistration) -> None:
    _, store = tokens.graph_clients()
    status = store.status(credential_of(registration))
    if not status.valid:
        return
    roles = frozenset(status.roles or ())
    in_use = SenderConfig.objects.filter(mailbox=OuterRef("pk"), active=True)
    boxes = Mailbox.objects.filter(Exists(in_use), registration=registration)
    if WRITE in roles:
        for mailbox in boxes.exclude(can_draft=True, can_read=True):
            _note(mailbox, can_draft=True, can_read=True)
        return
    due = boxes.filter(_due(clock.now())).order_by(F("access_checked_at").asc(nulls_first=True))
    for mailbox in due[:BATCH]:
        mailbox.registration = registration
        _probe(mailbox, can_read=bool(roles & READ))


def _due(now: datetime) -> Q:
    """Choose what to ask Graph about: somebody wants to know, it was not lately, no mail is on its way."""
    lately = Q(access_checked_at=None)
    for answer, after in AGAIN.items():
        lately |= Q(can_draft=answer, access_checked_at__lte=now - after)
    uses = Q(large_mail=LargeMail.AUTO) | Q(sent_items=SentItems.REMOVE)
    wanted = SenderConfig.objects.filter(uses, mailbox=OuterRef("pk"), active=True)
    running = Delivery.objects.filter(IN_FLIGHT, mailbox=OuterRef("pk"))
    return lately & Q(Exists(wanted)) & ~Q(Exists(running))


def _probe(mailbox: Mailbox, *, can_read: bool) -> None:
    """Ask Graph about drafts."""
    with side_request(mailbox, 2) as caller:
        if caller is None:
            return
        can_draft = may_draft(caller)
    _note(mailbox, can_draft=can_draft, can_read=can_read or can_draft)


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
