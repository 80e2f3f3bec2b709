"""Prints, at the end of a test run, what came of each client in each way of connecting."""

from collections import defaultdict

from tests.clients.cells import ENCRYPTIONS, LOGINS

_WORDS = {"passed": "ok", "failed": "FAILED", "error": "FAILED", "skipped": "skipped"}
_COLUMNS = [f"{encryption} {login}" for encryption in ENCRYPTIONS for login in LOGINS]
_WIDTH = max(map(len, _COLUMNS))


def pytest_terminal_summary(terminalreporter) -> None:
    """Draw the table; `-` is what a client has no means for."""
    rows = defaultdict(dict)
    reasons = set()
    for outcome, word in _WORDS.items():
        for report in terminalreporter.stats.get(outcome, ()):
            cell = dict(getattr(report, "user_properties", ())).get("matrix")
            if cell is not None:
                client, encryption, login = cell
                rows[client][f"{encryption} {login}"] = word
                if word == "skipped":
                    reasons.add(f"{client}: {_reason(report)}")
    if not rows:
        return
    terminalreporter.section("mail clients that this gateway took mail of")
    first = max(map(len, rows))
    terminalreporter.line("  ".join([" " * first, *(name.ljust(_WIDTH) for name in _COLUMNS)]).rstrip())
    for client, cells in rows.items():
        words = (cells.get(name, "-").ljust(_WIDTH) for name in _COLUMNS)
        terminalreporter.line("  ".join([client.ljust(first), *words]).rstrip())
    for reason in sorted(reasons):
        terminalreporter.line(f"skipped: {reason}")


def _reason(report) -> str:
    where = report.longrepr
    return str(where[2]).removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)
