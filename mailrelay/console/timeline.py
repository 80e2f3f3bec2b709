"""Everything that happened to a message, in order: accepted, attempts, and moves between them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from mailrelay.console import cells
from mailrelay.models import Message, SendLog, TimelineEntry
from mailrelay.outbox.keeping import origin
from mailrelay.status.words import Words, outcome_words

#: Attempts and moves that a page shows at most, the newest ones.
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline; all texts are plain, the page escapes them."""

    at: datetime
    title: str
    tone: str
    text: str = ""
    advice: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    reply: str = ""

    @property
    def time(self) -> str:
        return cells.moment(self.at)


@dataclass(frozen=True, slots=True)
class Timeline:
    events: list[Event]
    #: Whether older events exist that are not listed.
    cut: bool


def of(message: Message) -> Timeline:
    """Read the timeline of `message`, which brings its client and deliveries, in two queries."""
    attempts = list(message.attempts.order_by("-started_at", "-pk")[: SHOWN + 1])
    entries = list(message.timeline.order_by("-at", "-pk")[: SHOWN + 1])
    cut = max(len(attempts), len(entries)) > SHOWN
    parts = len({attempt.delivery_id for attempt in attempts}) > 1
    later: Iterable[Event] = chain(
        (_attempt(row, parts=parts) for row in reversed(attempts[:SHOWN])),
        (_entry(row) for row in reversed(entries[:SHOWN])),
    )
    return Timeline([_accepted(message), *sorted(later, key=lambda event: event.at)], cut)


def _accepted(message: Message) -> Event:
    return Event(message.created_at, "Accepted", "busy", origin.told(message))


def _attempt(row: SendLog, *, parts: bool) -> Event:
    words: Words = outcome_words(row.outcome)
    title = f"Attempt {row.number}" + (f" of part {row.delivery_id}" if parts else "")
    return Event(
        row.started_at,
        f"{title}: {words.title}",
        words.tone,
        row.sentence,
        row.advice,
        tuple((name, value) for name, value in _facts(row) if value),
        row.reply,
    )


def _facts(row: SendLog) -> Iterator[tuple[str, str]]:
    yield "HTTP status", str(row.http_status or "")
    yield "Graph code", row.graph_code
    yield "Retry-After", cells.span(row.retry_after) if row.retry_after is not None else ""
    yield "Duration", f"{row.duration_ms} ms" if row.duration_ms is not None else ""
    yield "Sent", cells.size(row.size) if row.size is not None else ""
    yield "Route", {"mime": "MIME sendMail", "large": "draft and upload"}.get(row.route, row.route)
    yield "request-id", row.request_id
    yield "client-request-id", row.client_request_id
    yield "Worker", row.worker


def _entry(row: TimelineEntry) -> Event:
    return Event(
        row.at, row.text, "quiet", f"By {row.actor}." if row.actor and row.actor not in row.text else ""
    )
