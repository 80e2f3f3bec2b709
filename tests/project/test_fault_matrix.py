"""Each fault of the matrix names the tests that inject it, and they are there."""

import re

import pytest

from tests.project.files import ROOT

#: What concerns delivery; the listener's faults are tested where the listener is.
WANTED = (3, *range(13, 17), *range(23, 49))
ROWS = {
    int(number): tests
    for number, tests in re.findall(
        r"^\| (\d+) \|.*\| ([^|]+) \|$",
        (ROOT / "docs" / "fault-matrix.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}


def named(cell: str) -> list[tuple[str, str]]:
    """List (file, test) of a cell; a name without a file is in the file before it."""
    found, file = [], ""
    for path, test in re.findall(r"`([\w./-]*?)(?:::(\w+))?`", cell):
        file = path or file
        found.append((file, test))
    return found


def test_every_fault_has_a_row():
    assert sorted(ROWS) == sorted(WANTED)


@pytest.mark.parametrize("number", ROWS)
def test_every_test_that_a_row_names_is_there(number):
    tests = named(ROWS[number])
    missing = [
        f"{file}::{test}"
        for file, test in tests
        if not (ROOT / file).exists() or f"def {test}" not in (ROOT / file).read_text(encoding="utf-8")
    ]

    assert tests
    assert not missing
