"""Findings of `doctor`: a level, a sentence, and what fixes it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Level(StrEnum):
    """How bad a finding is. The words are what the report shows."""

    OK = "OK"
    WARNING = "WARNING"  # mail flows, or will; something deserves a look
    PROBLEM = "PROBLEM"  # some mail cannot be accepted or delivered as things stand


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Texts hold no secrets; `fix` is empty where nothing needs fixing."""

    check: str
    level: Level
    sentence: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "level": self.level, "sentence": self.sentence, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class Check:
    """Makes the findings of one kind of check."""

    name: str

    def ok(self, sentence: str) -> Finding:
        return Finding(self.name, Level.OK, sentence)

    def warning(self, sentence: str, fix: str) -> Finding:
        return Finding(self.name, Level.WARNING, sentence, fix)

    def problem(self, sentence: str, fix: str) -> Finding:
        return Finding(self.name, Level.PROBLEM, sentence, fix)


def within(seconds: float, call: Callable[[], T]) -> T:
    """Give what `call` returns. Raises TimeoutError after `seconds`, and whatever `call` raises.

    For calls of the system and of libraries that have no deadline of their own. One that is late goes on in
    a thread which does not keep the process from ending.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
