"""The record of an answer: state, sentence, reason, what to do, and what happens next."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Status:
    """One answer. `state` is a word that programs may rely on; all other texts are whole sentences."""

    state: str
    #: What happens, or does not happen, now.
    sentence: str
    #: What Microsoft, Entra ID or a person said; empty where nobody did.
    reason: str = ""
    #: What a person can do about it; empty where nothing has to be done.
    todo: str = ""
    #: When something happens next by itself, and what that is: "Next try".
    next_at: datetime | None = None
    next_step: str = ""
    #: A few words of all this, for a list; `next_at` belongs at their end.
    brief: str = ""

    def text(self, stamp: Callable[[datetime], str]) -> str:
        """Return all sentences as one line; `stamp` writes a time."""
        when = f"{self.next_step}: {stamp(self.next_at)}." if self.next_at else ""
        return " ".join(filter(None, (self.sentence, when, self.reason, self.todo)))
