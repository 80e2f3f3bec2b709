"""Mail behind a broken configuration: held while it is broken, released when it is fixed.

A mailbox or its registration is marked; the rows behind it follow in batches, so that the state of each
says what is the matter without one transaction touching a million of them.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.keeping import message_state
from mailrelay.vocabulary import Reason, State

#: Seconds between two probes of something that is broken.
PROBE_INTERVAL = float(settings.PROBE_SECONDS)
#: Deliveries that one transaction holds or releases behind one mailbox, and mailboxes that it looks at.
BATCH = 500
MAILBOXES = 20
#: Faults of a registration that hold its mail.
OF_REGISTRATION = (
    Reason.SECRET_WRONG,
    Reason.SECRET_EXPIRED,
    Reason.CREDENTIAL_REFUSED,
    Reason.CREDENTIAL_MISSING,
    Reason.CONSENT_MISSING,
)
#: Faults of a mailbox that hold its mail.
OF_MAILBOX = (
    Reason.CONSENT_MISSING,
    Reason.MAILBOX_UNKNOWN,
    Reason.MAILBOX_UNLICENSED,
    Reason.MAILBOX_FULL,
    Reason.MAILBOX_BLOCKED,
)
REASONS = tuple({*OF_REGISTRATION, *OF_MAILBOX})
#: What holds the mail of a sender.
OF_SENDER = (Reason.SENDER_INACTIVE, Reason.SENDER_PAUSED)


def of(mailbox: Mailbox) -> Reason:
    """Return why the mailbox's mail is held; NONE when it is not."""
    failing = mailbox.registration.failing
    return Reason(mailbox.blocked or (failing if failing in OF_REGISTRATION else Reason.NONE))


def text_of(mailbox: Mailbox) -> str:
    """Return what is the matter with a mailbox that `of` calls stopped, and what fixes it."""
    return mailbox.blocked_text if mailbox.blocked else mailbox.registration.failing_text


def hold_behind(mailbox: Mailbox, now: datetime) -> int:
    """Move a batch of what waits behind a stopped mailbox to held, in the caller's transaction.

    What is held for something else that was the matter before tells about the present too.
    """
    reason = of(mailbox)
    if not reason:
        return 0
    behind = Delivery.objects.filter(mailbox=mailbox)
    former = [other for other in REASONS if other != reason]
    told = {"state": State.HELD, "reason": reason, "last_error": text_of(mailbox)}
    moved = _move(behind.filter(state=State.QUEUED), now, **told)
    return moved + _move(behind.filter(state=State.HELD, reason__in=former), now, **told)


def release_behind(mailbox: Mailbox, now: datetime) -> int:
    """Move a batch of what was held for the configuration back to the queue, in the caller's transaction."""
    held = Delivery.objects.filter(mailbox=mailbox, state=State.HELD, reason__in=REASONS)
    return _move(held, now, state=State.QUEUED, reason=Reason.NONE, released_at=now)


def release_registration(registration_id: int, now: datetime) -> None:
    """Wake every mailbox of a registration, and release a batch behind each that is not stopped itself."""
    boxes = Mailbox.objects.filter(registration=registration_id)
    boxes.update(wake_at=now)
    held = Delivery.objects.filter(mailbox=OuterRef("pk"), state=State.HELD, reason__in=REASONS)
    for mailbox in boxes.filter(blocked=Reason.NONE).filter(Exists(held))[:MAILBOXES]:
        release_behind(mailbox, now)


def take_probe(registration_id: int, now: datetime) -> bool:
    """Win the one probe of a failing registration whose time has come, for the process that asks first."""
    due = AppRegistration.objects.filter(pk=registration_id, retry_at__lte=now).exclude(failing=Reason.NONE)
    return bool(due.update(retry_at=now + timedelta(seconds=PROBE_INTERVAL)))


def give_probe_back(registration_id: int, now: datetime) -> None:
    """Let another make the probe that came to nothing: no request was made."""
    failing = AppRegistration.objects.filter(pk=registration_id).exclude(failing=Reason.NONE)
    failing.update(retry_at=now)


def reconcile() -> int:
    """Move one batch behind every mailbox whose mail does not yet show how it stands; return the rows."""
    return write(Move.HOLD, _reconcile)


def _reconcile() -> int:
    now = clock.now()
    stopped = ~Q(blocked=Reason.NONE) | Q(registration__failing__in=OF_REGISTRATION)
    boxes = Mailbox.objects.select_related("registration")
    queued = Delivery.objects.filter(mailbox=OuterRef("pk"), state=State.QUEUED)
    held = Delivery.objects.filter(mailbox=OuterRef("pk"), state=State.HELD, reason__in=REASONS)
    moved = 0
    for mailbox in boxes.filter(stopped).filter(Exists(queued))[:MAILBOXES]:
        moved += hold_behind(mailbox, now)
    for mailbox in boxes.exclude(stopped).filter(Exists(held))[:MAILBOXES]:
        moved += release_behind(mailbox, now)
        Mailbox.objects.filter(pk=mailbox.pk).update(wake_at=now)
    return moved + _senders(now)


def _senders(now: datetime) -> int:
    """Hold the mail of senders that are off or paused, and release that of those that send again."""
    moved = 0
    queued = Delivery.objects.filter(sender=OuterRef("pk"), state=State.QUEUED)
    # Of all that is held, not of all that a sender has sent: that is far more, and grows.
    held = Delivery.objects.filter(state=State.HELD, reason__in=OF_SENDER)
    resting = SenderConfig.objects.exclude(active=True, paused_at__isnull=True)
    for sender in resting.filter(Exists(queued))[:MAILBOXES]:
        reason, text = _why_it_rests(sender)
        waiting = Delivery.objects.filter(sender=sender, state=State.QUEUED)
        moved += _move(waiting, now, state=State.HELD, reason=reason, last_error=text)
    sending = SenderConfig.objects.filter(active=True, paused_at__isnull=True)
    for sender in sending.filter(pk__in=held.values("sender"))[:MAILBOXES]:
        waiting = Delivery.objects.filter(sender=sender, state=State.HELD, reason__in=OF_SENDER)
        moved += _move(waiting, now, state=State.QUEUED, reason=Reason.NONE, released_at=now)
        Mailbox.objects.filter(senders=sender).update(wake_at=now)
    return moved


def _why_it_rests(sender: SenderConfig) -> tuple[Reason, str]:
    if not sender.active:
        text = f"The sender {sender.name} is switched off. Switch it on to send this mail, or cancel it."
        return Reason.SENDER_INACTIVE, text
    why = f"The sender {sender.name} was paused by {sender.paused_by}: {sender.pause_reason.rstrip('.')}."
    return Reason.SENDER_PAUSED, f"{why} Resume it to send this mail, or cancel it."


def hold_resting(delivery_id: int, now: datetime) -> bool:
    """Hold a queued delivery if its sender is off or paused, in the caller's transaction; whether it is."""
    rows = Delivery.objects.filter(pk=delivery_id, state=State.QUEUED)
    row = rows.exclude(sender__active=True, sender__paused_at__isnull=True).select_related("sender").first()
    if row is None:
        return False
    reason, text = _why_it_rests(row.sender)
    return bool(_move(rows, now, state=State.HELD, reason=reason, last_error=text))


def _move(rows: QuerySet[Delivery], now: datetime, **columns: Any) -> int:
    batch = dict(rows.order_by("pk").values_list("pk", "message_id")[:BATCH])
    moved = rows.filter(pk__in=batch).update(**columns)
    message_state.messages(batch.values(), now)
    return moved
