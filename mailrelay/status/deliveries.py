"""Tells what happens next to a delivery, why, and at what time."""

from collections.abc import Callable, Container
from datetime import datetime

from django.db.models import QuerySet

from mailrelay.models import Delivery
from mailrelay.models.senders import secrets_of
from mailrelay.outbox.holding import blame, configuration_holds
from mailrelay.status import mailboxes, workers
from mailrelay.status.record import Status
from mailrelay.status.words import reason_words
from mailrelay.vocabulary import Reason, State, UncertainPolicy

#: What `of_delivery` needs beside a delivery, and the columns of it that nobody may read here.
RELATED = ("message", "sender", "mailbox__registration")
UNREAD = secrets_of("mailbox__registration")
MAYBE = "It may have been sent: Microsoft gave no answer that is certain."


def of_delivery(
    delivery: Delivery,
    now: datetime,
    queues: Container[str] | None = None,
    looked_up: Callable[[Delivery], bool] = blame.can_be_looked_up,
) -> Status:
    """Tell what comes for `delivery`, which brings its message, sender, mailbox and registration.

    `queues` are the Celery queues that living workers serve (`workers.served_queues`), None where that was
    not asked. `looked_up` says of an unconfirmed delivery whether Microsoft will be asked about it.
    """
    match State(delivery.state):
        case State.QUEUED:
            return _queued(delivery, now, queues)
        case State.RESERVED:
            return Status(State.RESERVED, "It is assigned to a worker, which is about to start.")
        case State.SENDING:
            return Status(
                State.SENDING,
                f"The worker {delivery.lease_owner or '?'} is sending it now.",
                next_at=delivery.leased_until,
                next_step="If that worker dies, another goes on",
            )
        case State.DEFERRED:
            return Status(
                State.DEFERRED,
                "It will be tried again.",
                delivery.last_error,
                next_at=delivery.next_attempt_at,
                next_step="Next try",
                brief="next try",
            )
        case State.UNCERTAIN:
            return _unconfirmed(delivery, looked_up)
        case State.HELD:
            return _held(delivery)
        case final:
            return _ended(delivery, final)


def chosen(**of: object) -> QuerySet[Delivery]:
    """Give the deliveries that match, with all that `of_delivery` needs, the oldest first."""
    return Delivery.objects.filter(**of).select_related(*RELATED).defer(*UNREAD).order_by("pk")


def _queued(delivery: Delivery, now: datetime, queues: Container[str] | None) -> Status:
    if stopped := mailboxes.obstacle(delivery.mailbox, now):
        return Status(
            State.QUEUED,
            f"It waits. {stopped.sentence}",
            stopped.reason,
            stopped.todo,
            stopped.next_at,
            stopped.next_step,
            stopped.brief,
        )
    queue = workers.queue_of(delivery)
    if queues is not None and queue not in queues:
        return Status(
            State.QUEUED,
            f"It waits for a worker: none that serves the queue {queue} is running.",
            todo=workers.start_one(queue),
            brief="no worker",
        )
    if full := mailboxes.limit_used_up(delivery, now):
        return full
    return Status(
        State.QUEUED, f"It waits its turn: {mailboxes.pace(delivery.mailbox)}.", delivery.last_error
    )


def _unconfirmed(delivery: Delivery, looked_up: Callable[[Delivery], bool]) -> Status:
    policy = delivery.sender.uncertain_policy
    resent = delivery.copy_allowed or (policy == UncertainPolicy.RESEND and not delivery.copies)
    ends = "fails" if policy == UncertainPolicy.FAIL else "is held for a person"
    if looked_up(delivery):
        otherwise = "it is sent once more" if resent else f"it {ends}"
        sentence = f"Microsoft is asked what became of it. If that cannot be found out, {otherwise}."
        step, brief = "Next look", "next look"
    elif resent:
        sentence, step, brief = "It is sent once more, unless an answer still comes.", "Next try", "next try"
    else:
        sentence, step, brief = f"It {ends}: it is not sent a second time.", "That happens", "ends"
    return Status(
        State.UNCERTAIN,
        f"{MAYBE} {sentence}",
        delivery.last_error,
        next_at=delivery.next_attempt_at,
        next_step=step,
        brief=brief,
    )


def _held(delivery: Delivery) -> Status:
    words = reason_words(delivery.reason)
    if delivery.reason in configuration_holds.REASONS:
        sentence = "Held until the configuration is fixed. It is then sent automatically."
    elif delivery.reason == Reason.SENDER_INACTIVE:
        sentence = f"Held while the sender “{delivery.sender.name}” is switched off."
    elif delivery.reason == Reason.SENDER_PAUSED:
        sentence = f"Held until somebody resumes the sender “{delivery.sender.name}”."
    else:
        sentence = "Held until a person releases or cancels it."
    reason = delivery.last_error if delivery.reason != Reason.BY_HAND else ""
    return Status(State.HELD, sentence, reason, words.todo, brief=words.title.lower())


def _ended(delivery: Delivery, state: State) -> Status:
    if state is State.SENT:
        sentence = "Microsoft accepted it for delivery. If it bounces, the report comes to the mailbox."
        return Status(state, sentence)
    if state is State.CANCELLED:
        return Status(state, "Cancelled before it was sent. It will not be tried again.")
    gone = delivery.message.content_removed_at is not None
    return Status(
        state,
        "Failed. It will not be tried again automatically.",
        delivery.last_error,
        "Its content was removed, so that it cannot be sent again." if gone else "",
        brief=reason_words(delivery.reason).title.lower(),
    )
