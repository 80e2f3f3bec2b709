"""Every move can be killed before it and after it, and nothing moves outside one."""

import ast
import re
from pathlib import Path

import pytest

import mailrelay
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write

ROOT = Path(mailrelay.__file__).parent
#: Rooms that make no moves: the names of the moves, the sandbox with its own rows, and what the tables were.
OTHERS = ("outbox/failpoints.py", "sandbox/", "migrations/")


def sources() -> dict[str, str]:
    files = {str(path.relative_to(ROOT)): path.read_text() for path in ROOT.rglob("*.py")}
    return {name: text for name, text in files.items() if not name.startswith(OTHERS)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("move", list(Move))
def test_a_move_passes_a_failpoint_on_each_side(monkeypatch, move):
    passed = []
    monkeypatch.setattr(failpoints, "hit", passed.append)

    write(move, lambda: passed.append("the move"))

    assert passed == [f"{move}.before", "the move", f"{move}.after"]


def test_there_is_no_move_that_nothing_makes():
    made = set(re.findall(r"\bMove\.([A-Z_]+)", "\n".join(sources().values())))

    assert made == {move.name for move in Move}


def test_only_the_queue_itself_writes_states():
    """A change of state anywhere else would pass no failpoint."""
    writes = {"update", "create", "bulk_create", "update_or_create", "get_or_create"}
    found = [
        f"{name}:{call.lineno}"
        for name, text in sources().items()
        if not name.startswith("outbox/")
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in writes
        if any(word.arg == "state" for word in call.keywords)
    ]

    assert found == []
