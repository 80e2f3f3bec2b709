"""The filters beside the list of messages."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mailrelay.console.words import SHOWN_STATES, state_words
from mailrelay.models import Message, SenderConfig
from mailrelay.outbox import clock
from mailrelay.vocabulary import State

#: States that want somebody to look.
ATTENTION = (State.FAILED, State.HELD, State.UNCERTAIN)
TIMES = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [
            ("attention", "Wants attention"),
            *((state.value, state_words(state).title) for state in SHOWN_STATES),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:  # noqa: ARG002
        value = self.value()
        if value == "attention":
            return queryset.filter(state__in=ATTENTION)
        return queryset.filter(state=value) if value else queryset


class SenderFilter(admin.SimpleListFilter):
    title = "sender"
    parameter_name = "sender"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        names = SenderConfig.objects.order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:  # noqa: ARG002
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(sender=int(value)) if value.isdecimal() else queryset.none()


class TimeFilter(admin.SimpleListFilter):
    title = "time"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(key, title) for key, (title, _) in TIMES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:  # noqa: ARG002
        chosen = TIMES.get(self.value() or "")
        return queryset.filter(created_at__gte=clock.now() - chosen[1]) if chosen else queryset
