"""Trying a credential without sending mail: whether it gets a token, and what each mailbox says to that.

Nothing is kept: neither the token nor what came of it, which is for a person to read.
"""

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from mailrelay.delivery.access import WRITE, may_draft
from mailrelay.graph.calls import Caller
from mailrelay.graph.credentials import Credential
from mailrelay.graph.entra import Token, TokenUnavailable, acquire, holder_of
from mailrelay.graph.http import GraphSession, Timeouts
from mailrelay.graph.sendmail import probe_mailbox
from mailrelay.models import AppRegistration, Mailbox
from mailrelay.vocabulary import Outcome

#: Mailboxes of a registration that are asked at most, and seconds after which no more are.
MOST, BUDGET = 20, 20.0
TIMEOUTS = Timeouts(connect=5.0, stall=10.0, total=10.0)


@dataclass(frozen=True, slots=True)
class Answered:
    """What Graph says of one mailbox: True it would take mail, False it would not, None not known."""

    address: str
    takes_mail: bool | None
    sentence: str
    advice: str = ""
    request_id: str = ""
    held: bool = False  # its mail is held for this already
    may_draft: bool | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a credential came to; without a token, `sentence` and `advice` say why."""

    has_token: bool
    sentence: str = ""
    advice: str = ""
    tenant: str = ""
    application: str = ""
    roles: tuple[str, ...] | None = None
    token_ends: datetime | None = None
    mailboxes: tuple[Answered, ...] = ()
    untried: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing speaks against using it: a mailbox that was refused before is not its fault."""
        return self.has_token and all(box.takes_mail is not False or box.held for box in self.mailboxes)


def mailboxes_of(registration: AppRegistration) -> list[Mailbox]:
    """List the mailboxes of `registration` that an active sender uses."""
    used = Mailbox.objects.filter(registration=registration.pk, senders__active=True)
    return list(used.distinct().order_by("address"))


def prove(credential: Credential, mailboxes: Iterable[Mailbox], *, drafts: bool = False) -> Findings:
    """Get a token for `credential` and ask Graph about `mailboxes`, without sending.

    Costs a request of each mailbox's limits, and with `drafts` two more where the token does not tell
    whether drafts may be written.
    """
    with closing(GraphSession()) as session:
        try:
            token = acquire(credential, session)
        except TokenUnavailable as unavailable:
            return Findings(False, unavailable.verdict.sentence, unavailable.verdict.advice)
        tenant, application = holder_of(token.value)
        boxes = list(mailboxes)
        answers = _asked(boxes[:MOST], credential, token, session, drafts=drafts)
        return Findings(
            True,
            tenant=tenant,
            application=application,
            roles=token.roles,
            token_ends=datetime.fromtimestamp(token.expires_at, UTC),
            mailboxes=answers,
            untried=len(boxes) - len(answers),
        )


def _asked(
    mailboxes: Iterable[Mailbox], credential: Credential, token: Token, session: GraphSession, *, drafts: bool
) -> tuple[Answered, ...]:
    end = time.monotonic() + BUDGET
    answers: list[Answered] = []
    for mailbox in mailboxes:
        if time.monotonic() >= end:
            break
        caller = Caller(session, token, credential, mailbox.graph_user, str(uuid4()), TIMEOUTS)
        answers.append(_answer_of(mailbox, caller, drafts=drafts))
    return tuple(answers)


def _answer_of(mailbox: Mailbox, caller: Caller, *, drafts: bool) -> Answered:
    probe = probe_mailbox(
        caller.session,
        caller.token,
        caller.credential,
        caller.mailbox,
        client_request_id=caller.client_request_id,
        timeout=TIMEOUTS,
        token_is_fresh=True,
    )
    verdict = probe.verdict
    if probe.usable:
        drawn = _drafts(caller) if drafts else None
        return Answered(mailbox.address, True, "Graph takes mail for it.", may_draft=drawn)
    passing = verdict.outcome in {Outcome.TRANSIENT, Outcome.UNCERTAIN}
    return Answered(
        mailbox.address,
        None if passing else False,
        verdict.sentence,
        verdict.advice,
        probe.answer.request_id or "",
        held=bool(mailbox.blocked),
    )


def _drafts(caller: Caller) -> bool | None:
    return True if WRITE in (caller.token.roles or ()) else may_draft(caller)
