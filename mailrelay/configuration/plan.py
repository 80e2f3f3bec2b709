"""The plan: what applying a file comes to, a step a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mailrelay.configuration.schema import Section


class Action(StrEnum):
    """What becomes of a row. The words are what the plan shows."""

    CREATE = "create"
    CHANGE = "change"
    DEACTIVATE = "deactivate"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one row; `details` say what changes, never a secret."""

    action: Action
    what: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        details = f": {'; '.join(self.details)}" if self.details else ""
        return f"{self.action:<10} {self.what}{details}"


def step(section: Section, name: str, details: Iterable[str], *, created: bool) -> Step:
    """Make the step of an entry from what differed."""
    what, said = f"{section.singular} {name}", tuple(details)
    if created:
        return Step(Action.CREATE, what)
    return Step(Action.CHANGE if said else Action.UNCHANGED, what, said)


def summary(steps: Iterable[Step]) -> str:
    """Count the steps by their action."""
    actions = [step.action for step in steps]
    parts = [f"{actions.count(action)} {word}" for action, word in WORDS.items() if action in actions]
    return f"{', '.join(parts) or 'the file names nothing'}."


WORDS = {
    Action.CREATE: "created",
    Action.CHANGE: "changed",
    Action.DEACTIVATE: "deactivated",
    Action.UNCHANGED: "unchanged",
}
