"""Rows for people: a line a message, as wide as a terminal, and below it why it waits, where it does."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from mailrelay.cli.listing import Row
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import FINAL_STATES

WIDTH = 100
HEADING = f"{'ID':32} {'STATE':9} {'AGE':>4} {'SIZE':>6}  FROM → TO"


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the listing, heading and summary included."""
    now, states, size = clock.now(), Counter[str](), 0
    for row in rows:
        if not states:
            yield HEADING
        states[row.state.value] += 1
        size += row.size
        yield _line(row, now)
        if reason := _reason(row, now):
            yield reason
    yield _summary(states, size)


def _line(row: Row, now: datetime) -> str:
    age = span((now - row.created_at).total_seconds())
    start = f"{row.id:32} {row.state.value:9} {age:>4} {amount(row.size):>6}  "
    others = f" +{len(row.recipients) - 1}" if len(row.recipients) > 1 else ""
    way = f"{printable(row.mail_from) or '<>'} → {printable(row.recipients[0]) if row.recipients else '-'}"
    return start + cut(way, WIDTH - len(start) - len(others)) + others


def _reason(row: Row, now: datetime) -> str:
    """Say why the message is not sent yet, and when something happens next."""
    parts = []
    if row.state not in FINAL_STATES and row.next_attempt_at:
        wait = (row.next_attempt_at - now).total_seconds()
        parts.append(f"next in {span(wait)}" if wait > 0 else "due now")
    if row.last_error:
        parts.append(printable(row.last_error))
    return cut("    " + ": ".join(parts), WIDTH) if parts else ""


def _summary(states: Counter[str], size: int) -> str:
    if not states:
        return "No messages."
    total = states.total()
    parts = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return f"{total} {'message' if total == 1 else 'messages'}, {amount(size)}: {parts}."


def amount(size: int) -> str:
    """Give bytes as people read them, in powers of 1024: 812, 4.1K, 34M."""
    if size < 1024:
        return f"{size}B"
    value, units = size / 1024, "KMGT"
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    unit = units[0]
    return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"


def span(seconds: float) -> str:
    """Give a time span in its largest unit: 12s, 5m, 3h, 9d."""
    for limit, unit, size in ((120, "s", 1), (7200, "m", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{max(0, int(seconds // size))}{unit}"
    return f"{int(seconds // 86_400)}d"


def stamp(at: datetime) -> str:
    """Give a time to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def printable(text: str) -> str:
    """Give `text` on one line: what came from the network must not steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
