"""The moves of a delivery between its states, with the cause of each; docs/architecture.md draws them.

Tests of the delivery let the database refuse any other.
"""

from collections.abc import Iterator

from mailrelay.vocabulary import State

NEW = "new"
#: From, to, and what causes it.
MOVES: dict[tuple[str, State], str] = {
    (NEW, State.QUEUED): "accepted",
    (State.QUEUED, State.RESERVED): "the limits let it go, and a worker is free",
    (
        State.QUEUED,
        State.HELD,
    ): "a person holds it, its sender is paused or off, or the configuration is broken",
    (State.QUEUED, State.FAILED): "too old",
    (State.QUEUED, State.CANCELLED): "a person cancels it",
    (State.RESERVED, State.SENDING): "a worker starts",
    (State.RESERVED, State.QUEUED): "no worker started in time, or the broker takes no task",
    (State.RESERVED, State.HELD): "a person holds it, or it crashed workers",
    (State.RESERVED, State.CANCELLED): "a person cancels it",
    (State.SENDING, State.SENT): "Graph accepts it, or accepted it before",
    (State.SENDING, State.QUEUED): "nothing was sent, through no fault of the mail",
    (State.SENDING, State.DEFERRED): "a fault that may pass",
    (State.SENDING, State.UNCERTAIN): "no certain answer, or the worker is gone",
    (State.SENDING, State.HELD): "the configuration is broken, or a person has to decide",
    (State.SENDING, State.FAILED): "refused for good, or too old",
    (State.DEFERRED, State.QUEUED): "the wait is over, or a person tries it now",
    (State.DEFERRED, State.HELD): "a person holds it, or its sender is paused or off",
    (State.DEFERRED, State.FAILED): "too old",
    (State.DEFERRED, State.CANCELLED): "a person cancels it",
    (State.UNCERTAIN, State.QUEUED): "time to look it up, or to send it once more",
    (State.UNCERTAIN, State.HELD): "the policy, a person, or its sender is paused or off",
    (State.UNCERTAIN, State.FAILED): "the policy, or too old",
    (State.UNCERTAIN, State.CANCELLED): "a person cancels it",
    (State.HELD, State.QUEUED): "a person releases it, its sender goes on, or the configuration is fixed",
    (State.HELD, State.RESERVED): "one of the held is tried, to see whether the configuration is fixed",
    (State.HELD, State.FAILED): "its content is removed by retention",
    (State.HELD, State.CANCELLED): "a person cancels it",
    (State.SENT, State.QUEUED): "a person sends it again",
    (State.FAILED, State.QUEUED): "a person sends it again",
    (State.CANCELLED, State.QUEUED): "a person sends it again",
}
#: An answer that comes after its lease has ended moves what waits as it would have moved it in time, and of
#: what is over only to `sent`.
LATE = {
    *((old, State.SENT) for old in State),
    *(
        (old, new)
        for old in (State.QUEUED, State.RESERVED, State.DEFERRED, State.UNCERTAIN, State.HELD)
        for start, new in MOVES
        if start == State.SENDING
    ),
}


def drawn() -> Iterator[str]:
    """Yield the lines of a state diagram (https://mermaid.js.org/syntax/stateDiagram.html)."""
    yield "stateDiagram-v2"
    for (old, new), cause in MOVES.items():
        yield f"    {'[*]' if old == NEW else old} --> {new}: {cause}"
    yield "    note right of sending"
    yield "        A late answer moves a delivery that waits as if it were still sending;"
    yield "        one that is over it moves to sent alone."
    yield "    end note"
