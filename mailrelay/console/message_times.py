"""Filters a list of messages by the time at which they were accepted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from mailrelay.models import Message
from mailrelay.outbox.db import clock

LATELY = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
#: Names in the address: how lately, and the two ends of a period.
SINCE, BEGIN, END = "since", "from", "until"
#: The lookup by which the list goes on beyond its reach.
BEFORE = "created_at__lte"
#: How far a moment reaches that is written to the day, or to the minute.
_REACHES = {len("2027-03-31"): timedelta(days=1), len("2027-03-31T09:30"): timedelta(minutes=1)}
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Both ends belong to it; None is open. With a `problem` the address does not say which it is."""

    begin: datetime | None = None
    end: datetime | None = None
    problem: str = ""


def asked(query: Mapping[str, str]) -> Period:
    """Read the period that the address of a list asks for; its moments are UTC unless they say otherwise."""
    lately = LATELY.get(query.get(SINCE, ""))
    try:
        begins = [_moment(query.get(BEGIN, "")), clock.now() - lately[1] if lately else None]
        ends = [_moment(query.get(END, ""), whole=True), _older(query.get(BEFORE, ""))]
    except ValueError as problem:
        return Period(problem=str(problem))
    begin, end = max(filter(None, begins), default=None), min(filter(None, ends), default=None)
    if ends[0] and begins[0] and begins[0] > ends[0]:
        return Period(problem="The list would end before it begins: exchange the two times.")
    return Period(begin, end)


def _moment(text: str, *, whole: bool = False) -> datetime | None:
    """Read a moment; with `whole`, the end of the day or minute that is written. Raises ValueError."""
    text = text.strip()
    if not text:
        return None
    try:
        # A plus sign that was not quoted in the address arrives as a blank.
        found = parse_datetime(text.replace(" ", "+" if "T" in text else "T"))
        if found is not None:
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
            return found + _REACHES.get(len(text), _INSTANT) - _INSTANT if whole else found
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"“{text[:40]}” is not a time: write it like 2027-03-31T09:30, in UTC.")


def _older(text: str) -> datetime | None:
    try:
        return _moment(text)
    except ValueError:  # Django refuses what is no lookup
        return None


class TimeFilter(admin.SimpleListFilter):
    """Presets, and a form for a period, which stands in the address and goes with every other filter."""

    title = "time"
    parameter_name = SINCE
    template = "console/time_filter.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        ends = {name: params.pop(name, [""])[-1] for name in (BEGIN, END)}
        self.used_parameters |= {name: text for name, text in ends.items() if text}
        self.problem = asked(request.GET).problem
        self.kept: list[tuple[str, str]] = []

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(key, title) for key, (title, _) in LATELY.items()]

    def expected_parameters(self) -> list[str | None]:
        return [SINCE, BEGIN, END]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:  # noqa: ARG002
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        own = [SINCE, BEGIN, END, BEFORE]
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=own),
            "display": "All",
        }
        for key, title in self.lookup_choices:
            address = changelist.get_query_string({SINCE: key}, own)
            yield {"selected": self.value() == key, "query_string": address, "display": title}
        values = changelist.filter_params.items()
        self.kept = [(name, text) for name, many in values if name not in own for text in many]

    def begin(self) -> str:
        return self.used_parameters.get(BEGIN, "")

    def end(self) -> str:
        return self.used_parameters.get(END, "")
