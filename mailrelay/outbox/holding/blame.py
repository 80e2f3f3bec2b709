"""Decides what waits after a failure: the message, its mailbox, or its registration; and ends the wait.

Only the message's own faults lengthen its wait. A mailbox or a registration at fault is paused as a whole,
and the first success sets everything behind it free.
"""

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from mailrelay.models import AppRegistration, Delivery, Mailbox, SendLog
from mailrelay.outbox.db import counters
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.holding.configuration_holds import PROBE_INTERVAL
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.rules import age, limits
from mailrelay.vocabulary import Reason, State, UncertainPolicy

#: Seconds of the first pause of something that gave no Retry-After; doubled each time.
FIRST_PAUSE = 1.0
#: A pause that Microsoft asks for is kept, but not beyond a day.
LONGEST_PAUSE = 86_400.0
#: Seconds after which what was sent shows in Sent Items as a rule.
COPY_SHOWS = 60.0
SUCCESS_FIELDS = (
    "failures",
    "pause_text",
    "blocked",
    "blocked_text",
    "blocked_since",
    "probe_at",
    "succeeded_at",
)


def backoff(first: float, longest: float, failures: int) -> float:
    """Return the wait in seconds after `failures` failures: doubled each time, and 20 % of it by chance."""
    doubled: float = first * 2 ** min(max(failures - 1, 0), 30)
    return min(longest, doubled) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, keeps no secret


# --- The message ---------------------------------------------------------------------------------------


def defer(delivery: Delivery, reason: Reason, text: str, now: datetime, retry_after: float | None) -> None:
    """Let the message wait for its own fault; or fail it when it is too old to try again."""
    wait = backoff(settings.DELIVERY_RETRY_MIN, settings.DELIVERY_RETRY_MAX, delivery.attempts + 1)
    wait = max(wait, min(retry_after or 0.0, LONGEST_PAUSE))
    if _ends_before(delivery, timedelta(seconds=wait), now):
        fail(delivery, Reason.TOO_OLD, f"{text} No time is left to try again.", now)
        return
    counters.add(counters.DEFERRED)
    _settle(
        delivery,
        now,
        state=State.DEFERRED,
        reason=reason,
        next_attempt_at=now + timedelta(seconds=wait),
        attempts=F("attempts") + 1,
        last_error=text,
    )


def _ends_before(delivery: Delivery, wait: timedelta, now: datetime) -> bool:
    """Whether a delivery will be too old after `wait`, and has been tried for long enough to end."""
    if delivery.aged_from >= age.ago(age.most() - wait, now):
        return False
    return Delivery.objects.filter(age.tried(now), pk=delivery.pk).exists()


def fail(delivery: Delivery, reason: Reason, text: str, now: datetime) -> None:
    counters.add(counters.FAILED)
    _settle(delivery, now, state=State.FAILED, reason=reason, last_error=text, next_attempt_at=None)


def hold(delivery: Delivery, reason: Reason, text: str, now: datetime) -> None:
    _settle(delivery, now, state=State.HELD, reason=reason, last_error=text, next_attempt_at=None)


def requeue(delivery: Delivery, text: str, now: datetime) -> None:
    """Put the delivery back to wait for what is really at fault."""
    _settle(delivery, now, state=State.QUEUED, reason=Reason.NONE, last_error=text, next_attempt_at=None)


def uncertain(delivery: Delivery, text: str, now: datetime, *, coded: bool = False) -> None:
    """Graph may have sent it: that is looked up where it can be; else the sender's policy decides.

    A second copy is made at most once. `coded`: Graph said that its service failed, so that no late answer
    comes and the mail hardly was sent: it waits for a copy to show, or as after any passing fault.
    """
    counters.add(counters.UNCERTAIN)
    looked_up = can_be_looked_up(delivery)
    resent = delivery.sender.uncertain_policy == UncertainPolicy.RESEND and not delivery.copies
    if not (resent or looked_up):
        given_up(delivery, text, now)
    elif coded:
        first = backoff(settings.DELIVERY_RETRY_MIN, settings.DELIVERY_RETRY_MAX, 1)
        await_outcome(delivery, text, now, min(settings.UNCERTAIN_DELAY, COPY_SHOWS if looked_up else first))
    else:
        await_outcome(delivery, text, now)


def given_up(delivery: Delivery, text: str, now: datetime) -> None:
    """End mail that may have been sent, of which no more can be known, and that is not to be sent again."""
    if delivery.sender.uncertain_policy == UncertainPolicy.FAIL:
        fail(delivery, Reason.UNCERTAIN, text, now)
    else:
        hold(delivery, Reason.UNCERTAIN, text, now)


def await_outcome(delivery: Delivery, text: str, now: datetime, wait: float | None = None) -> None:
    """Let mail that may have been sent wait: for a late answer, for a look, and last for the second copy.

    `wait` is in seconds, UNCERTAIN_DELAY if it is not given.
    """
    again = now + timedelta(seconds=settings.UNCERTAIN_DELAY if wait is None else wait)
    _settle(
        delivery,
        now,
        state=State.UNCERTAIN,
        reason=Reason.UNCERTAIN,
        next_attempt_at=again,
        last_error=text,
    )


def can_be_looked_up(delivery: Delivery) -> bool:
    """Whether the draft of the last attempt, or Sent Items, will tell what became of it."""
    if delivery.mailbox.can_read:
        return True
    last = SendLog.objects.filter(delivery=delivery).order_by("-number").first()
    return last is not None and bool(last.draft_id)


def _settle(delivery: Delivery, now: datetime, **columns: object) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(token=None, leased_until=None, **columns)
    message_state.message(delivery.message_id, now)


# --- The mailbox ---------------------------------------------------------------------------------------


def pause(mailbox: Mailbox, text: str, now: datetime, retry_after: float | None) -> None:
    """Stop a locked mailbox until Retry-After, or for a growing moment when Microsoft names none.

    What comes in during a pause began before it: it may lengthen the pause by its own Retry-After alone.
    """
    if mailbox.paused_until is None or mailbox.paused_until <= now:
        mailbox.failures += 1
    wait = min(retry_after, LONGEST_PAUSE) if retry_after else backoff(FIRST_PAUSE, 60.0, mailbox.failures)
    until = now + timedelta(seconds=wait)
    mailbox.paused_until = max(until, mailbox.paused_until or until)
    mailbox.pause_text = text
    mailbox.wake_at = mailbox.paused_until
    mailbox.save(update_fields=["failures", "paused_until", "pause_text", "wake_at"])


def cool_slot(mailbox: Mailbox, now: datetime) -> None:
    """Keep a slot of a locked mailbox taken: we gave up on a request that Graph may still be at work on."""
    limits.cool(mailbox, now)
    mailbox.save(update_fields=["cooling"])


def block(mailbox: Mailbox, reason: Reason, text: str, now: datetime) -> None:
    """Hold a locked mailbox's mail until a probe shows that its configuration is fixed."""
    mailbox.blocked_since = mailbox.blocked_since or now
    mailbox.blocked, mailbox.blocked_text = reason, text
    mailbox.probe_at = mailbox.wake_at = now + timedelta(seconds=PROBE_INTERVAL)
    mailbox.save(update_fields=["blocked", "blocked_text", "blocked_since", "probe_at", "wake_at"])


# --- The registration ----------------------------------------------------------------------------------


def fault(
    registration_id: int,
    reason: Reason,
    text: str,
    begun: datetime,
    now: datetime,
    retry_after: float | None = None,
) -> None:
    """Stop everything behind a registration: its credential is refused, or Microsoft cannot be reached.

    Work that had `begun` before the trouble was noticed says nothing new about it. A refusal stays what is
    shown while probes fail for a passing reason: only success ends it.
    """
    row = AppRegistration.objects.select_for_update(no_key=True).get(pk=registration_id)
    if row.failing_since is not None and begun < row.failing_since:
        return
    row.failures += 1
    row.failing_since = row.failing_since or now
    if (
        reason in configuration_holds.OF_REGISTRATION
        or row.failing not in configuration_holds.OF_REGISTRATION
    ):
        row.failing, row.failing_text = reason, text
    refused = row.failing in configuration_holds.OF_REGISTRATION
    wait = PROBE_INTERVAL if refused else retry_after or backoff(FIRST_PAUSE, PROBE_INTERVAL, row.failures)
    row.retry_at = now + timedelta(seconds=min(wait, LONGEST_PAUSE))
    row.save(update_fields=["failures", "failing", "failing_text", "failing_since", "retry_at"])


def success(mailbox: Mailbox, now: datetime) -> None:
    """Note a success of a locked mailbox, and set free what a fault of it or its registration stopped."""
    mailbox.succeeded_at = now
    if not (mailbox.failures or mailbox.blocked or mailbox.registration.failing):
        return
    was_stopped = configuration_holds.of(mailbox)
    mailbox.failures, mailbox.pause_text = 0, ""
    mailbox.blocked, mailbox.blocked_text, mailbox.blocked_since = Reason.NONE, "", None
    mailbox.probe_at = None
    mailbox.save(update_fields=SUCCESS_FIELDS)
    freed = fixed(mailbox.registration, now)
    mailbox.registration.failing = Reason.NONE
    if was_stopped and not freed:
        configuration_holds.release_behind(mailbox, now)


def fixed(registration: AppRegistration, now: datetime) -> bool:
    """Set a registration going again: all behind it is due at once, at the permitted rate."""
    if not registration.failing:
        return False
    AppRegistration.objects.filter(pk=registration.pk).update(
        failing=Reason.NONE, failing_text="", failing_since=None, retry_at=None, failures=0
    )
    configuration_holds.release_registration(registration.pk, now)
    return True
