"""Acts on messages by their queue ids: all of the ids are known, or nothing is done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from getpass import getuser
from uuid import UUID

from mailrelay.cli import listing
from mailrelay.cli.errors import CliError
from mailrelay.models import Message
from mailrelay.outbox.operators.actions import ACTIONS
from mailrelay.vocabulary import State

#: What happened to a delivery, by action.
DONE = {"requeue": "queued again", "hold": "held", "release": "released", "cancel": "cancelled"}


@dataclass(frozen=True, slots=True)
class Acted:
    """One message after an action: how many of its deliveries moved, and how it stands now."""

    id: str
    moved: int
    state: State


def known(texts: Sequence[str]) -> list[UUID]:
    """Parse queue ids (hex or UUID form), each once. Raises CliError naming those of no message."""
    ids = list(dict.fromkeys(_parse(text) for text in texts))
    found = set(Message.objects.filter(pk__in=ids).values_list("pk", flat=True))
    unknown = [message_id.hex for message_id in ids if message_id not in found]
    if unknown:
        raise CliError(
            f"No message has the id {', '.join(unknown)}: nothing was done. It may have been removed by "
            "retention; `manage.py mailq` lists the ids that there are."
        )
    return ids


def act(action: str, ids: Sequence[UUID]) -> Iterator[Acted]:
    """Do `action`, one of ACTIONS, to each message; yield each as soon as it is done."""
    who = actor()
    for message_id in ids:
        moved = ACTIONS[action](message_id, who)
        yield Acted(message_id.hex, moved, listing.row(message_id).state)


def actor() -> str:
    """Name the person at this terminal, as far as the system knows."""
    try:
        return f"{getuser()} (mailq)"
    except (KeyError, OSError, ImportError):  # a container's user need not have a name
        return "mailq"


def _parse(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CliError(
            f"{text!r} is not a queue id: that is the 32 hexadecimal digits which `manage.py mailq` shows "
            "first, and which the reply to DATA ended with."
        ) from None
