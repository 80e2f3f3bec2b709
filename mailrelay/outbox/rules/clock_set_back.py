"""Repairs times after a clock was set back: due times move with it, past times become the present.

A clock that was ten days ahead for a moment would otherwise let mail, pauses and leases wait for ten days.
"""

import logging
from datetime import datetime

from django.db.models import F, Model, Q

from mailrelay.models import (
    Alert,
    AlertChannel,
    AlertTold,
    ApiToken,
    AppRegistration,
    Counter,
    Delivery,
    Inbox,
    Lease,
    Mailbox,
    Refusal,
    SendLog,
    SmtpClient,
    Worker,
)
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.vocabulary import State

log = logging.getLogger(__name__)

WAITS_FOR_ITS_TIME = Q(state__in=[State.DEFERRED, State.UNCERTAIN])
#: When something is due, with the condition by which an index finds it.
DUE: tuple[tuple[type[Model], str, Q], ...] = (
    (Delivery, "next_attempt_at", WAITS_FOR_ITS_TIME),
    (Delivery, "leased_until", IN_FLIGHT),
    (Delivery, "notice_due_at", Q()),
    (Mailbox, "wake_at", Q()),
    (Mailbox, "paused_until", Q()),
    (Mailbox, "probe_at", Q()),
    (AppRegistration, "retry_at", Q()),
    (SendLog, "copy_due_at", Q(copy_due_at__isnull=False)),
    (AlertChannel, "next_at", Q()),
    (Lease, "until", Q()),
)
#: When something was last seen or done: decisions are made by how long ago that is.
PAST: tuple[tuple[type[Model], str], ...] = (
    (Worker, "seen_at"),
    (AppRegistration, "failing_since"),
    (Mailbox, "blocked_since"),
    (Mailbox, "succeeded_at"),
    (Mailbox, "direct_limit_learned_at"),
    (Mailbox, "access_checked_at"),
    (Inbox, "looked_at"),
    (Inbox, "read_until"),
    (Inbox, "refused_at"),
    (SmtpClient, "seen_at"),
    (Refusal, "last_at"),
    (Counter, "updated_at"),
    (Alert, "began_at"),
    (Alert, "seen_at"),
    (AlertTold, "at"),
    (ApiToken, "last_used_at"),
)


def move_times(before: datetime, now: datetime) -> None:
    """Put right what the clock left that said `before` when it was last seen, and says `now`.

    What was due by the old clock already stays: it was entered by a clock that was right.
    """
    log.warning("the clock was set back by %s: times that it left in the future move with it", before - now)
    for model, column, condition in DUE:
        late = model._default_manager.filter(condition, **{f"{column}__gt": before})  # noqa: SLF001 - Django documents it
        late.update(**{column: F(column) - (before - now)})
    for model, column in PAST:
        model._default_manager.filter(**{f"{column}__gt": now}).update(**{column: now})  # noqa: SLF001 - likewise
