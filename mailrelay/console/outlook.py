"""What happens next to a delivery, when, and why not now."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from mailrelay.console.cells import relative
from mailrelay.console.words import reason_words
from mailrelay.models import Delivery, Mailbox, Message
from mailrelay.outbox import stoppage
from mailrelay.vocabulary import FINAL_STATES, Reason, State, UncertainPolicy

ENDS = {
    State.SENT: "Microsoft has accepted it for delivery, and nothing more happens here. Where it does not "
    "arrive, a message trace in Exchange finds it by its Message-ID.",
    State.FAILED: "It is not tried again by itself.",
    State.CANCELLED: "It was withdrawn before it was sent, and is not tried again.",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """A sentence on what happens next, when that is, what stands in the way, and a few words of it all."""

    sentence: str
    at: datetime | None = None
    because: str = ""
    brief: str = ""


def of(delivery: Delivery, now: datetime, *, workers: bool = True) -> Outlook:
    """Tell what comes for `delivery`, which brings its mailbox, registration and sender.

    `workers` says whether anything alive could deliver it.
    """
    match State(delivery.state):
        case State.QUEUED:
            return _queued(delivery, now, workers=workers)
        case State.RESERVED:
            return Outlook("It has been handed to a worker, which is about to begin.")
        case State.SENDING:
            return Outlook(
                f"The worker {delivery.lease_owner or '?'} is sending it now. Should that worker die, the "
                "gateway notices on",
                delivery.leased_until,
            )
        case State.DEFERRED:
            at = delivery.next_attempt_at
            brief = f"again {relative(at, now)}" if at else ""
            return Outlook("It is tried again on", at, delivery.last_error, brief)
        case State.UNCERTAIN:
            return _uncertain(delivery, now)
        case State.HELD:
            return _held(delivery)
        case final:
            return Outlook(ENDS[final], None, delivery.last_error, _brief_end(delivery))


def _queued(delivery: Delivery, now: datetime, *, workers: bool) -> Outlook:
    mailbox, registration = delivery.mailbox, delivery.mailbox.registration
    if not registration.active:
        return Outlook(
            f"It waits until the app registration “{registration.name}” is switched on.",
            brief="app registration off",
        )
    if registration.failing:
        sentence = f"It waits for the app registration “{registration.name}”, which is tried again on"
        brief = reason_words(registration.failing).title.lower()
        return Outlook(sentence, registration.retry_at, registration.failing_text, brief)
    if mailbox.blocked:
        brief = reason_words(mailbox.blocked).title.lower()
        return Outlook(
            f"It waits for the mailbox {mailbox.address}, which is tried again on",
            mailbox.probe_at,
            mailbox.blocked_text,
            brief,
        )
    if mailbox.paused_until is not None and mailbox.paused_until > now:
        brief = f"mailbox rests, {relative(mailbox.paused_until, now)}"
        return Outlook(
            f"It waits for the mailbox {mailbox.address}, which rests until",
            mailbox.paused_until,
            mailbox.pause_text,
            brief,
        )
    if not workers:
        return Outlook("It waits for a worker: none that could deliver it is alive.", brief="no worker")
    return Outlook(f"It waits for its turn: {_pace(mailbox)}.", None, delivery.last_error)


def _pace(mailbox: Mailbox) -> str:
    rate, slots = mailbox.messages_per_minute, mailbox.concurrency
    limits = [f"{rate} messages a minute" if rate else "", f"{slots} at once" if slots else ""]
    said = " and ".join(limit for limit in limits if limit)
    return f"{mailbox.address} sends {said}" if said else f"{mailbox.address} sends without a limit"


def _uncertain(delivery: Delivery, now: datetime) -> Outlook:
    at = delivery.next_attempt_at
    if delivery.sender.uncertain_policy != UncertainPolicy.RESEND or at is None:
        return Outlook("Microsoft may have sent it; it waits for a decision.", None, delivery.last_error)
    sentence = "Microsoft may have sent it. Unless an answer still comes, it is sent once more on"
    return Outlook(sentence, at, delivery.last_error, f"once more {relative(at, now)}")


def _held(delivery: Delivery) -> Outlook:
    words = reason_words(delivery.reason)
    if delivery.reason in stoppage.REASONS:
        sentence = "It is held until the configuration is mended, and released by itself then."
    elif delivery.reason == Reason.SENDER_INACTIVE:
        sentence = f"It is held while the sender “{delivery.sender.name}” is switched off."
    elif delivery.reason == Reason.SENDER_PAUSED:
        sentence = f"It is held until somebody resumes the sender “{delivery.sender.name}”."
    else:
        sentence = "It stays held until a person releases or cancels it."
    because = delivery.last_error if delivery.reason != Reason.BY_HAND else ""
    return Outlook(sentence, None, f"{because} {words.todo}".strip(), words.title.lower())


def _brief_end(delivery: Delivery) -> str:
    return reason_words(delivery.reason).title.lower() if delivery.state == State.FAILED else ""


def content_line(message: Message) -> tuple[str, datetime | None]:
    """Say what becomes of the content: a sentence, and the time that belongs at its end."""
    if message.content_removed_at is not None:
        return "The content was removed", message.content_removed_at
    if message.state == State.SENT:
        kept = timedelta(hours=settings.RETENTION_SENT_HOURS)
    elif message.state in {*FINAL_STATES, State.HELD}:
        kept = timedelta(days=settings.RETENTION_FAILED_DAYS)
    else:
        return "The content is kept for as long as the message waits.", None
    return "The content is kept until", message.state_at + kept
