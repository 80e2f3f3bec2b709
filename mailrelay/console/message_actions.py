"""Actions on messages, one or many: asked for with a reason, confirmed, done once, and reported."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest

from mailrelay.console import cells
from mailrelay.console.message_questions import ForwardQuestion, Question, SenderQuestion, packed_ids
from mailrelay.models import Delivery, Message, SendLog
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.operators import actions, resend
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.submission import new_queue_id
from mailrelay.vocabulary import Reason, State

#: Messages whose content is copied at once.
FORWARDED = 100
DOUBTFUL = (
    "Microsoft may have sent some of this already: recipients may get it twice. Look into Sent Items of the "
    "mailbox first."
)
UNTOUCHED = "left as before: this was done already, or nothing of it was in a state that this changes."


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it, and the answers to the question."""

    actor: str
    answers: dict[str, Any]

    @property
    def why(self) -> str:
        return str(self.answers["why"])


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do: its words, the states of deliveries that it moves, and whether it leads to sending."""

    name: str
    label: str
    question: str
    done: str
    states: tuple[State, ...]
    sends: bool
    run: Callable[[Message, Order], bool]
    form: type[Question] = Question
    #: Its button stands behind the others.
    plain: bool = False
    #: Shows content to somebody else, and is for who may read it.
    shows: bool = False
    most: int | None = None


def _by_hand(name: str, message: Message, order: Order) -> bool:
    return actions.ACTIONS[name](message.pk, order.actor, order.why) > 0


def _resend(message: Message, order: Order) -> bool:
    return resend.resend(message.pk, order.actor, order.answers["asked"][message.pk], order.why) > 0


def _change_sender(message: Message, order: Order) -> bool:
    return resend.change_sender(message.pk, order.actor, order.answers["sender"], order.why) > 0


def _forward(message: Message, order: Order) -> bool:
    recipient = order.answers["recipient"]
    new_id = resend.forward_id(order.answers["once"], message.pk, recipient)
    return resend.forward(message, order.actor, recipient, new_id, order.why)


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "requeue",
            "Try again now",
            "What is deferred, held, failed or uncertain goes back to the queue and is sent at the mailbox's "
            "pace. What was sent stays sent.",
            "queued again",
            (State.DEFERRED, State.HELD, State.FAILED, State.UNCERTAIN),
            True,
            partial(_by_hand, "requeue"),
        ),
        Action(
            "release",
            "Release",
            "What is held goes back to the queue, whatever it was held for.",
            "released",
            (State.HELD,),
            True,
            partial(_by_hand, "release"),
        ),
        Action(
            "hold",
            "Hold",
            "What waits is not sent until somebody releases it. What a worker has in hand goes on.",
            "held",
            actions.WAITING,
            False,
            partial(_by_hand, "hold"),
        ),
        Action(
            "cancel",
            "Cancel sending",
            "What has not been sent never will be. What a worker has in hand goes on. This cannot be undone.",
            "cancelled",
            (*actions.WAITING, State.HELD),
            False,
            partial(_by_hand, "cancel"),
        ),
        Action(
            "resend",
            "Send once more",
            "What was sent is sent again, at the mailbox's pace.",
            "queued once more",
            (State.SENT,),
            True,
            _resend,
            plain=True,
        ),
        Action(
            "sender",
            "Use another sender",
            "What failed, is held or waits to be tried again is queued at once for the sender chosen here.",
            "queued for the other sender",
            resend.MOVABLE,
            True,
            _change_sender,
            SenderQuestion,
            plain=True,
        ),
        Action(
            "forward",
            "Forward",
            "A copy goes to the address below alone, as a message of its own through the same sender.",
            "forwarded",
            tuple(State),
            True,
            _forward,
            ForwardQuestion,
            plain=True,
            shows=True,
            most=FORWARDED,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Result:
    """How many messages an action moved, found nothing to move of, and found without content."""

    moved: int = 0
    untouched: int = 0
    without_content: int = 0
    fault: str = ""


def offered(message: Message, states: Iterable[str], *, may_read: bool) -> list[Action]:
    """List what can be done to a message whose deliveries are in `states`."""
    present = set(states)
    return [
        action
        for action in ACTIONS.values()
        if present & set(action.states)
        and not (action.sends and message.content_removed_at)
        and not (action.shows and not may_read)
        # Releasing says all there is to say of mail that is held; trying again is for what failed besides.
        and not (action.name == "requeue" and present <= {State.HELD, State.SENT, State.CANCELLED})
    ]


def warnings(action: Action, ids: list[UUID]) -> list[str]:
    """Say what confirming `action` risks."""
    rows = Message.objects.filter(pk__in=ids)
    if action.name == "resend":
        sent = rows.filter(deliveries__state=State.SENT).distinct()
        recipients = Delivery.objects.filter(message__in=ids, state=State.SENT).aggregate(
            n=Sum("recipient_count")
        )
        people = recipients["n"] or 0
        who = "1 recipient gets" if people == 1 else f"{people} recipients get"
        return [f"{_count(sent.count())} sent already: {who} a second copy."]
    if action.name == "forward" and len(ids) > 1:
        size = rows.aggregate(n=Sum("size"))["n"] or 0
        return [f"All {len(ids)} go to the one address, {cells.size(size)} together."]
    doubtful = Delivery.objects.filter(message__in=ids, state__in=action.states, reason=Reason.UNCERTAIN)
    if not (action.sends and doubtful.exists()):
        return []
    return [DOUBTFUL]


def run(action: Action, rows: Iterable[Message], order: Order) -> Result:
    """Apply `action` to messages, each in a transaction of its own."""
    moved = untouched = without = 0
    try:
        for row in rows:
            if action.sends and row.content_removed_at is not None:
                without += 1
            elif action.run(row, order):
                moved += 1
            else:
                untouched += 1
    except OutboxError as error:
        return Result(moved, untouched, without, str(error))
    finally:
        scheduler.wake()
    return Result(moved, untouched, without)


def say(request: HttpRequest, action: Action, result: Result) -> None:
    """Tell the person what came of it."""
    for level, text in _sentences(action, result):
        messages.add_message(request, level, text)


def _sentences(action: Action, result: Result) -> Iterable[tuple[int, str]]:
    if result.moved:
        yield messages.SUCCESS, f"{_count(result.moved)} {action.done}."
    if result.untouched:
        yield messages.WARNING, f"{_count(result.untouched)} {UNTOUCHED}"
    if result.without_content:
        yield (
            messages.WARNING,
            f"{_count(result.without_content)} left as before: the content was removed, nothing can be sent.",
        )
    if result.fault:
        yield messages.ERROR, f"The rest was not touched: {result.fault} Try again."


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def blank(action: Action, rows: list[Message]) -> Question:
    """Make the form as the page first shows it, with what tells a second press from the first."""
    attempts = SendLog.objects.filter(message__in=[row.pk for row in rows]).order_by().values_list("message")
    known = dict(attempts.annotate(n=Count("pk")))
    asked = {row.pk: known.get(row.pk, 0) for row in rows}
    return action.form(initial={"asked": packed_ids(asked), "once": new_queue_id()})


def confirmation(action: Action, rows: list[Message], form: Question) -> dict[str, Any]:
    """Make the context of the page that asks before it acts."""
    return {
        "action": action,
        "form": form,
        "rows": rows[:20],
        "more": max(0, len(rows) - 20),
        "count": _count(len(rows)),
        "warnings": warnings(action, [row.pk for row in rows]),
    }
