"""Settle: what an attempt came to goes on record, and moves what it blames.

A late result always settles its own attempt. It moves the delivery too, unless a later attempt has begun:
then there may be a second copy, which is counted and said on the timeline.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox, SendLog
from mailrelay.outbox.claiming import claim, leases
from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.db import clock, counters, rows, statements
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame, configuration_holds
from mailrelay.outbox.keeping import message_state
from mailrelay.outbox.result import Result
from mailrelay.outbox.rules import limits
from mailrelay.outbox.settling import expiry, own_message_ids, request_size, split
from mailrelay.outbox.settling.expiry import MOST_CRASHES, POISONED
from mailrelay.vocabulary import FINAL_STATES, Blame, Outcome, Reason, State

#: What a delivery that Graph accepted looks like.
SENT: dict[str, Any] = {
    "state": State.SENT,
    "reason": Reason.NONE,
    "token": None,
    "leased_until": None,
    "next_attempt_at": None,
    "last_error": "",
}


#: The same as a statement, for the one that holds the lease.
SENT_UNDER_LEASE = """
    UPDATE mailrelay_delivery SET state = 'sent', reason = '', token = NULL, leased_until = NULL,
        next_attempt_at = NULL, last_error = ''
    WHERE id = %s AND token = %s AND state = 'sending'
"""
RECORD = """
    UPDATE mailrelay_sendlog SET finished_at = %s, outcome = %s, blame = %s, reason = %s, http_status = %s,
        graph_code = %s, enhanced_status = %s, request_id = %s, retry_after = %s, duration_ms = %s,
        sentence = %s, advice = %s, reply = %s
    WHERE id = %s AND outcome = %s
"""
MESSAGE_SENT = "UPDATE mailrelay_message SET state = 'sent', state_at = %s WHERE id = %s"
HEALTHY = """
    SELECT mailbox.concurrency = 0 AND mailbox.wake_at <= %s FROM mailrelay_mailbox mailbox
    JOIN mailrelay_appregistration app ON app.id = mailbox.registration_id
    WHERE mailbox.id = %s AND mailbox.failures = 0 AND mailbox.blocked = '' AND app.failing = ''
        AND mailbox.succeeded_at > %s
"""
OTHERS_DUE = "SELECT 1 FROM mailrelay_mailbox WHERE wake_at <= %s AND id <> %s LIMIT 1"
#: Reasons for which a person has to look at the message itself.
FOR_A_PERSON = (Reason.LOOP, Reason.CONTENT_LOST)
#: How exactly a mailbox's last success is known while it is idle.
SUCCESS_SHOWN = timedelta(seconds=10)


def end_attempt(attempt: Attempt, result: Result) -> list[Reservation]:
    """Record `result`, move what it blames, and claim what the freed slot may take; publish what returns."""

    def run() -> list[Reservation]:
        now = clock.now()
        before = _record(attempt, result, now)
        if before is None or before == result.outcome:
            return []
        if result.outcome == Outcome.SENT and _sent_under_its_lease(attempt, now):
            if _nothing_to_do(attempt.mailbox_id, result, now):
                return []
            return _next(_succeeded(attempt.mailbox_id, result, now), now)
        delivery = Delivery.objects.select_related("sender").get(pk=attempt.delivery_id)
        if before:
            message_state.note(
                delivery, f"The answer to attempt {attempt.number} came late: {result.sentence}", now
            )
        if _superseded(attempt, delivery, result, now):
            return []
        return _next(_move(delivery, result, attempt.started_at, now), now)

    return write(Move.SETTLE, run)


def end_without_attempt(delivery: Delivery, result: Result, *, noted: bool = True) -> list[Reservation]:
    """End a lease whose request was never begun: no token, say, or content that is gone.

    `noted`: it is said on the timeline.
    """

    def move(row: Delivery, now: datetime) -> Mailbox:
        if noted:
            message_state.note(row, result.text, now)
        return _move(row, result, leases.begun_at(delivery), now)

    return _end_lease(delivery, move)


def return_to_queue(delivery: Delivery, text: str) -> list[Reservation]:
    """End a lease whose request certainly never went out, through no fault of the message."""

    def move(row: Delivery, now: datetime) -> Mailbox:
        _opened(row).update(finished_at=now, outcome=Outcome.TRANSIENT, sentence=text)
        blame.requeue(row, text, now)
        return claim.lock(row.mailbox_id)

    return _end_lease(delivery, move)


def count_crash(delivery: Delivery, text: str) -> list[Reservation]:
    """Count a fault of our own against a message; the third holds it.

    Where an attempt was open, its request may have gone out: then the mail is uncertain instead.
    """

    def move(row: Delivery, now: datetime) -> Mailbox:
        Delivery.objects.filter(pk=row.pk).update(crashes=F("crashes") + 1)
        opened = _opened(row).first()
        if opened is not None and expiry.may_have_sent(opened):
            _opened(row).update(finished_at=now, outcome=Outcome.UNCERTAIN, sentence=text)
            blame.uncertain(row, text, now)
        elif row.crashes + 1 >= MOST_CRASHES:
            counters.add(counters.POISON)
            blame.hold(row, Reason.POISON, f"{text} {POISONED}", now)
        else:
            _opened(row).update(finished_at=now, outcome=Outcome.TRANSIENT, sentence=text)
            blame.defer(row, Reason.SERVER_ERROR, text, now, None)
        message_state.note(row, text, now)
        return claim.lock(row.mailbox_id)

    return _end_lease(delivery, move)


def look_again_later(delivery: Delivery, result: Result) -> list[Reservation]:
    """End a lease that was taken to look for mail that may have been sent; it is looked for once more."""

    def move(row: Delivery, now: datetime) -> Mailbox:
        blame.await_outcome(row, result.text, now)
        message_state.note(row, result.text, now)
        return claim.lock(row.mailbox_id)

    return _end_lease(delivery, move)


def decide_by_policy(
    delivery: Delivery, attempt: Attempt, result: Result, *, draft_is_gone: bool
) -> list[Reservation]:
    """End such a lease where no look will tell more: the sender's policy decides, and sends nothing again."""

    def move(row: Delivery, now: datetime) -> Mailbox:
        if draft_is_gone:
            SendLog.objects.filter(pk=attempt.id).update(draft_id="")
        blame.given_up(row, result.text, now)
        message_state.note(row, result.text, now)
        return claim.lock(row.mailbox_id)

    return _end_lease(delivery, move)


def _end_lease(delivery: Delivery, move: Callable[[Delivery, datetime], Mailbox]) -> list[Reservation]:
    """Let `move` end the lease of `delivery`, unless it is lost, and claim what the freed slot may take.

    `move` returns the mailbox, locked as late as can be.
    """

    def run() -> list[Reservation]:
        now = clock.now()
        held = Delivery.objects.filter(pk=delivery.pk, token=delivery.token, state=State.SENDING)
        row = held.select_related("sender").first()
        return [] if row is None else _next(move(row, now), now)

    return write(Move.PUT_OFF, run)


def _opened(delivery: Delivery) -> QuerySet[SendLog]:
    return SendLog.objects.filter(delivery=delivery, finished_at__isnull=True)


def add_note(delivery: Delivery, text: str) -> None:
    """Write a line on the timeline of a message: what it lost on its way, say."""
    write(Move.DRAFT, lambda: message_state.note(delivery, text, clock.now()))


def pause(mailbox_id: int, text: str, retry_after: float | None) -> None:
    """Let nothing new through a mailbox for a while: what is under way there was asked to wait."""
    write(Move.PAUSE, lambda: blame.pause(claim.lock(mailbox_id), text, clock.now(), retry_after))


def _record(attempt: Attempt, result: Result, now: datetime) -> str | None:
    """Write the result into its own attempt; return the outcome that stood there: none, or uncertain.

    None when it has a result that is certain: then this is the second record of one answer. What was refused
    in passing may turn out to have been sent (`delivery.outcome_lookup`).
    """
    columns = (
        now,
        result.outcome,
        result.blame,
        result.reason,
        result.http_status,
        result.graph_code[:100],
        result.enhanced_status,
        result.request_id[:100],
        result.retry_after,
        int(result.duration * 1000),
        result.sentence,
        result.advice,
        result.reply,
    )
    replaceable = ["", Outcome.UNCERTAIN, *([Outcome.TRANSIENT] if result.outcome == Outcome.SENT else [])]
    for before in map(str, replaceable):
        if statements.changed(RECORD, *columns, attempt.id, before):
            return before
    return None


def _superseded(attempt: Attempt, delivery: Delivery, result: Result, now: datetime) -> bool:
    """Whether the delivery is not this attempt's to move: a later one has begun, or the matter is closed."""
    sent = result.outcome == Outcome.SENT
    if not SendLog.objects.filter(delivery=delivery, number__gt=attempt.number).exists():
        closed = delivery.state in FINAL_STATES or delivery.reason == Reason.BY_HAND
        return closed and not sent
    if sent:
        counters.add(counters.SECOND_COPIES)
        text = f"Possible second copy: attempt {attempt.number} was answered late, and Graph had taken it."
        message_state.note(delivery, text, now)
    return True


def _move(delivery: Delivery, result: Result, begun: datetime, now: datetime) -> Mailbox:
    """Let the result of work that had `begun` then take effect on the delivery and on what it blames.

    Returns the mailbox, locked.
    """
    if result.outcome == Outcome.SENT:
        Delivery.objects.filter(pk=delivery.pk).update(**SENT)
        message_state.message(delivery.message_id, now)
        counters.add(counters.SENT)
        return _succeeded(delivery.mailbox_id, result, now)
    mailbox = claim.lock(delivery.mailbox_id)
    if _vindicates(mailbox.registration, result):
        blame.fixed(mailbox.registration, now)
        mailbox.registration.failing = Reason.NONE
    if result.duplicate:
        _taken_for_another(delivery, result, now)
    elif result.outcome == Outcome.TOO_LARGE and request_size.take_large_route(
        delivery, mailbox, result.text, now
    ):
        pass
    elif result.outcome in {Outcome.PERMANENT, Outcome.TOO_LARGE}:
        _fail(delivery, mailbox, result, now)
    elif result.outcome == Outcome.UNCERTAIN:
        blame.uncertain(delivery, result.text, now, coded=result.coded)
        if result.http_status is None:
            blame.cool_slot(mailbox, now)
        _pause_the_blamed(mailbox, result, begun, now)
    elif result.reason in FOR_A_PERSON:
        blame.hold(delivery, result.reason, result.text, now)
    elif result.blame == Blame.MESSAGE:
        _put_off(delivery, result, now)
    else:
        _stop(delivery, mailbox, result, begun, now)
    return mailbox


def _vindicates(registration: AppRegistration, result: Result) -> bool:
    """Whether a failure proves that Graph was reached with a good token: it blames the message or mailbox.

    Missing consent looks alike for a mailbox and for all of a registration, so that one proves nothing there.
    """
    answered = result.http_status is not None and (result.coded or result.outcome != Outcome.UNCERTAIN)
    alike = result.reason == registration.failing == Reason.CONSENT_MISSING
    return answered and not alike and result.blame in {Blame.MESSAGE, Blame.MAILBOX}


def _sent_under_its_lease(attempt: Attempt, now: datetime) -> bool:
    """Move the delivery in the ordinary case: its lease still holds, so that nothing has come between."""
    if not statements.changed(SENT_UNDER_LEASE, attempt.delivery_id, attempt.token):
        return False
    if attempt.alone:
        statements.changed(MESSAGE_SENT, now, attempt.message_id)
    else:
        message_state.message(attempt.message_id, now)
    counters.add(counters.SENT)
    return True


def _nothing_to_do(mailbox_id: int, result: Result, now: datetime) -> bool:
    """Whether the mailbox works as before and nothing waits for this slot: then its row need not be locked.

    What waits for a free worker alone, the scheduler claims, several at a time.
    """
    if result.retry_after:
        return False
    healthy = statements.first(HEALTHY, now, mailbox_id, now - SUCCESS_SHOWN)
    return healthy is not None and bool(healthy[0] or not claim.anything_waits(mailbox_id))


def _succeeded(mailbox_id: int, result: Result, now: datetime) -> Mailbox:
    """Lock the mailbox, as late as can be, and note that it works."""
    mailbox = claim.lock(mailbox_id)
    blame.success(mailbox, now)
    if result.retry_after:
        # A 202 that carries Retry-After has taken the mail and asks for a rest: resending would double it.
        blame.pause(mailbox, f"{result.sentence} It asked for a pause.", now, result.retry_after)
    return mailbox


def _fail(delivery: Delivery, mailbox: Mailbox, result: Result, now: datetime) -> None:
    """Fail a delivery of the locked `mailbox`, or those of its recipients alone that were refused."""
    if result.about_recipient:
        limits.give_back_recipients(mailbox, delivery, now)
    if split.without_refused(delivery, result, now):
        blame.requeue(delivery, result.text, now)
    else:
        blame.fail(delivery, result.reason, result.text, now)


def _taken_for_another(delivery: Delivery, result: Result, now: datetime) -> None:
    """Exchange has a mail of this Message-ID: an earlier attempt was that, or it has to be told apart."""
    if own_message_ids.was_sent(delivery):
        Delivery.objects.filter(pk=delivery.pk).update(**SENT)
        message_state.message(delivery.message_id, now)
        message_state.note(delivery, own_message_ids.PROOF, now)
        counters.add(counters.SENT)
    elif delivery.own_message_id and not own_message_ids.is_sent_anew(delivery):
        blame.given_up(delivery, result.text, now)
    else:
        own_message_ids.give(delivery, now)
        blame.requeue(delivery, result.text, now)


def _put_off(delivery: Delivery, result: Result, now: datetime) -> None:
    if result.permanent_after is not None and delivery.attempts + 1 >= result.permanent_after:
        blame.fail(delivery, result.reason, result.text, now)
    else:
        blame.defer(delivery, result.reason, result.text, now, result.retry_after)


def _stop(delivery: Delivery, mailbox: Mailbox, result: Result, begun: datetime, now: datetime) -> None:
    """Let the mailbox or the registration wait; the message loses nothing by it."""
    if result.blame == Blame.MAILBOX and result.outcome == Outcome.CONFIGURATION:
        blame.block(mailbox, result.reason, result.text, now)
    else:
        _pause_the_blamed(mailbox, result, begun, now)
    stopped = configuration_holds.of(mailbox)
    if stopped:
        # For what stops the mailbox, which a probe's own fault need not be: that is what releases it again.
        blame.hold(delivery, stopped, configuration_holds.text_of(mailbox), now)
    else:
        blame.requeue(delivery, result.text, now)


def _pause_the_blamed(mailbox: Mailbox, result: Result, begun: datetime, now: datetime) -> None:
    if result.blame == Blame.MAILBOX:
        blame.pause(mailbox, result.text, now, result.retry_after)
    elif result.blame in {Blame.CREDENTIAL, Blame.ENDPOINT}:
        reason = Reason.UNREACHABLE if result.outcome == Outcome.UNCERTAIN else result.reason
        blame.fault(mailbox.registration_id, reason, result.text, begun, now, result.retry_after)
        mailbox.registration.refresh_from_db()


def _next(mailbox: Mailbox, now: datetime) -> list[Reservation]:
    """Claim for the freed slot; where other mailboxes are due already, leave it to the scheduler's order."""
    if statements.found(OTHERS_DUE, now, mailbox.pk):
        mailbox.wake_at = now
        rows.save(mailbox, ["wake_at", "succeeded_at"])
        return []
    return claim.claim_in(mailbox, now)
