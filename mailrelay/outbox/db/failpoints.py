"""Places where a test can kill the process: before and after every move.

`FAILPOINT=settle.before` kills with SIGKILL when that point is first reached; `settle.before:7` at the
seventh time. Nothing else reads the variable, and without it a point costs one comparison.
"""

import os
import signal
import threading
from enum import StrEnum


class Move(StrEnum):
    """Every change of state that the queue of record makes, each one transaction."""

    STORE_CHUNK = "store_chunk"
    ACCEPT = "accept"
    WITHDRAW = "withdraw"
    CLAIM = "claim"
    GIVE_BACK = "give_back"
    LEASE = "lease"
    BEGIN = "begin"
    DRAFT = "draft"
    SETTLE = "settle"
    PUT_OFF = "put_off"
    RENEW = "renew"
    EXPIRE = "expire"
    PROMOTE = "promote"
    PAUSE = "pause"
    HOLD = "hold"
    LEND = "lend"
    AGE = "age"
    BY_HAND = "by_hand"
    RETAIN = "retain"
    REPORT = "report"
    REGISTER = "register"
    CREDENTIAL = "credential"


#: Points that lie outside a transaction of ours.
REPLY_BEFORE = "reply.before"
GRAPH_BEFORE = "graph.before"
GRAPH_AFTER = "graph.after"
DRAFT_WHOLE = "draft.whole"

_name, _, _count = os.environ.get("FAILPOINT", "").partition(":")
_left = int(_count or 1)
_lock = threading.Lock()


def hit(point: str) -> None:
    """Kill this process if `point` is the one that the environment names and its turn has come."""
    if point != _name:
        return
    global _left  # noqa: PLW0603 - counts down to the kill
    with _lock:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def points() -> list[str]:
    """List every failpoint there is."""
    around = [f"{move}.{side}" for move in Move for side in ("before", "after")]
    return [*around, REPLY_BEFORE, GRAPH_BEFORE, GRAPH_AFTER, DRAFT_WHOLE]
