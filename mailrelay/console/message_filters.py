"""The filters beside the list of messages. They are looked up together, by `message_search.find`."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mailrelay.console import message_search
from mailrelay.console.message_search import Criteria
from mailrelay.console.message_times import Period, TimeFilter
from mailrelay.models import Message, SenderConfig, SmtpClient
from mailrelay.status.words import state_words
from mailrelay.vocabulary import MESSAGE_STATES, State

#: States that want somebody to look.
ATTENTION = (State.FAILED, State.HELD, State.UNCERTAIN)
MEBIBYTE = 1024 * 1024
SIZES = {str(number): f"{number} MiB and more" for number in (1, 3, 10, 25)}
#: Not a state: what a report in the sender's Inbox says of mail that was sent.
BOUNCED = "bounced"
#: Names that a filter lists.
LISTED = 200
#: What no row has: a value of a filter that is none of its choices finds nothing.
NOTHING = -1


class _Filter(admin.SimpleListFilter):
    """A choice that stands in the address; the list is narrowed by all of them at once."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:  # noqa: ARG002
        return queryset


class StateFilter(_Filter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [
            ("attention", "Needs attention"),
            *((state.value, state_words(state).title) for state in MESSAGE_STATES),
            (BOUNCED, "Sent, bounced later"),
        ]


class SenderFilter(_Filter):
    title = "sender"
    parameter_name = "sender"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        names = SenderConfig.objects.order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in names[:LISTED]]


class ClientFilter(_Filter):
    title = "client"
    parameter_name = "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        names = SmtpClient.objects.order_by("name").values_list("pk", "name")
        return [*((str(pk), name) for pk, name in names[:LISTED]), ("0", "None, by network alone")]


class CodeFilter(_Filter):
    title = "Graph code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(code, code) for code in message_search.graph_codes()]


class SizeFilter(_Filter):
    title = "size"
    parameter_name = "size"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return list(SIZES.items())


FILTERS = (StateFilter, TimeFilter, SenderFilter, ClientFilter, CodeFilter, SizeFilter)


def criteria(query: Mapping[str, str], text: str, period: Period) -> Criteria:
    """Read what the address of a list asks for; what it cannot mean finds nothing, or does not narrow."""
    state, size = query.get("state", ""), query.get("size", "")
    return Criteria(
        text=text,
        states=_states(state),
        bounced=state == BOUNCED,
        sender=_number(query.get("sender", "")),
        client=_number(query.get("client", "")),
        graph_code=query.get("code", ""),
        least_size=int(size) * MEBIBYTE if size in SIZES else 0,
        after=period.begin,
        before=period.end,
    )


def _states(text: str) -> tuple[str, ...]:
    if text == "attention":
        return ATTENTION
    return (text,) if text and text != BOUNCED else ()


def _number(text: str) -> int | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else NOTHING
