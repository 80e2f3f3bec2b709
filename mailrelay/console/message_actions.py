"""What a person does to messages: requeue, hold, release, cancel; asked for, confirmed, and said."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest

from mailrelay.models import Delivery, Message
from mailrelay.outbox import hand, scheduler
from mailrelay.outbox.errors import OutboxError
from mailrelay.vocabulary import Reason, State


class Action(NamedTuple):
    """One thing to do: its words, the states of deliveries that it moves, and whether it leads to sending."""

    name: str
    label: str
    question: str
    done: str
    states: tuple[State, ...]
    sends: bool
    run: Callable[[UUID, str], int]


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
            hand.ACTIONS["requeue"],
        ),
        Action(
            "release",
            "Release",
            "What is held goes back to the queue, whatever it was held for.",
            "released",
            (State.HELD,),
            True,
            hand.ACTIONS["release"],
        ),
        Action(
            "hold",
            "Hold",
            "What waits is not sent until somebody releases it. What a worker has in hand goes on.",
            "held",
            hand.WAITING,
            False,
            hand.ACTIONS["hold"],
        ),
        Action(
            "cancel",
            "Cancel sending",
            "What has not been sent never will be. What a worker has in hand goes on. This cannot be undone.",
            "cancelled",
            (*hand.WAITING, State.HELD),
            False,
            hand.ACTIONS["cancel"],
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


def offered(message: Message, states: Iterable[str]) -> list[Action]:
    """List what can be done to a message whose deliveries are in `states`."""
    present = set(states)
    return [
        action
        for action in ACTIONS.values()
        if present & set(action.states)
        and not (action.sends and message.content_removed_at)
        # Releasing says all there is to say of mail that is held; trying again is for what failed besides.
        and not (action.name == "requeue" and present <= {State.HELD, State.SENT, State.CANCELLED})
    ]


def warning(action: Action, ids: Iterable[UUID]) -> str:
    """Say what confirming `action` risks."""
    if not action.sends:
        return ""
    doubtful = Delivery.objects.filter(
        message__in=list(ids), state__in=action.states, reason=Reason.UNCERTAIN
    )
    if not doubtful.exists():
        return ""
    return (
        "Microsoft may have sent some of this already: recipients may get it twice. "
        "Look into Sent Items of the mailbox first."
    )


def run(action: Action, rows: Iterable[tuple[UUID, bool]], actor: str) -> Result:
    """Apply `action` to messages, given as ids and whether their content is still kept."""
    moved = untouched = without = 0
    try:
        for pk, has_content in rows:
            if action.sends and not has_content:
                without += 1
            elif action.run(pk, actor):
                moved += 1
            else:
                untouched += 1
    except OutboxError as error:
        return Result(moved, untouched, without, str(error))
    finally:
        scheduler.poke()
    return Result(moved, untouched, without)


def say(request: HttpRequest, action: Action, result: Result) -> None:
    """Tell the person what came of it."""
    for level, text in _sentences(action, result):
        messages.add_message(request, level, text)


def _sentences(action: Action, result: Result) -> Iterable[tuple[int, str]]:
    if result.moved:
        yield messages.SUCCESS, f"{_count(result.moved)} {action.done}."
    if result.untouched:
        yield (
            messages.WARNING,
            f"{_count(result.untouched)} left as before: nothing of it was in a state that this changes.",
        )
    if result.without_content:
        yield (
            messages.WARNING,
            f"{_count(result.without_content)} left as before: the content was removed, nothing can be sent.",
        )
    if result.fault:
        yield messages.ERROR, f"The rest was not touched: {result.fault} Try again."


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def confirmation(action: Action, rows: list[Message]) -> dict[str, Any]:
    """Make the context of the page that asks before it acts."""
    return {
        "action": action,
        "rows": rows[:20],
        "more": max(0, len(rows) - 20),
        "count": _count(len(rows)),
        "warning": warning(action, [row.pk for row in rows]),
    }
