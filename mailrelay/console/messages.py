"""The screen of messages: find one, see what became of it, act on it. Nothing of it can be edited."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Prefetch, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mailrelay.console import (
    cells,
    message_actions,
    message_bounces,
    message_export,
    message_times,
    message_trace,
)
from mailrelay.console.message_actions import ACTIONS, Action, Order
from mailrelay.console.message_bounces import BOUNCED_BADGE
from mailrelay.console.message_filters import FILTERS, criteria
from mailrelay.console.message_page import MessagePage, page_of, state_badge
from mailrelay.console.message_questions import Question
from mailrelay.console.message_search import HELP, REACH, Found, find, within
from mailrelay.console.message_times import BEFORE
from mailrelay.console.message_views import ContentViews
from mailrelay.console.paging import CountedPaginator, FoundPaginator
from mailrelay.console.site import site
from mailrelay.models import Delivery, Message, NonDelivery, Recipient
from mailrelay.outbox.db import clock
from mailrelay.status.deliveries import chosen, of_delivery
from mailrelay.status.messages import shown_state
from mailrelay.vocabulary import State


class MessageList(ChangeList):
    """The list with a way to what is older than it reaches."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Message]:
        rows: QuerySet[Message] = super().get_queryset(request, exclude_parameters)
        period = message_times.asked(request.GET)
        self.problem, self.found = period.problem, None
        if period.problem:
            return rows.none()
        asked = criteria(request.GET, self.query, period)
        request.asked = asked  # type: ignore[attr-defined] # for the export, which goes on beyond what is listed
        self.found = find(asked) if asked.narrows else None
        return within(rows, asked) if self.found is None else rows.filter(pk__in=self.found.ids)

    def get_results(self, request: HttpRequest) -> None:
        request.found = self.found  # type: ignore[attr-defined] # for the paginator, which is told nothing else
        super().get_results(request)
        self.result_list = list(self.result_list)
        self.until, self.older = self._until(), ""
        if self.until and self.page_num == self.paginator.num_pages:
            self.older = self.get_query_string({BEFORE: self.until.isoformat()}, [PAGE_VAR])
        self.newest = self.get_query_string(remove=[BEFORE, PAGE_VAR]) if BEFORE in self.params else ""

    def _until(self) -> datetime | None:
        """Return the time at which the list ends, though there may be more."""
        if self.found is not None:
            return self.found.until
        return self.result_list[-1].created_at if self.result_count == REACH else None


def _bulk(action: Action) -> Callable[..., HttpResponseBase | None]:
    """Make the entry of the list's menu that does `action` to what is ticked."""

    @admin.action(description=action.label, permissions=["forward" if action.shows else "operate"])
    def run(self: "MessageAdmin", request: HttpRequest, rows: QuerySet[Message]) -> HttpResponseBase | None:
        return self.act_on_many(request, action, rows)

    run.__name__ = action.name
    return run


@admin.register(Message, site=site)
class MessageAdmin(ContentViews):
    list_display = ("mail", "standing", "accepted", "sent_by")
    list_filter = FILTERS
    list_max_show_all = 0
    search_fields = ("message_id_key",)
    search_help_text = HELP
    # Whatever counts, counts a million rows.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-created_at",)
    actions = (*(_bulk(action) for action in ACTIONS.values()), "export")

    # --- Who may what ----------------------------------------------------------------------------------

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("mailrelay.operate_message"))

    def has_forward_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request) and request.user.has_perm("mailrelay.view_content")

    # --- The list --------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return MessageList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        first = Recipient.objects.filter(message=OuterRef("pk")).order_by("pk").values("address")[:1]
        parts = chosen()
        rows = super().get_queryset(request).select_related("sender", "client")
        reports = NonDelivery.objects.filter(message=OuterRef("pk"))
        rows = rows.annotate(first_recipient=Subquery(first), has_bounced=Exists(reports))
        return rows.prefetch_related(Prefetch("deliveries", parts))

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
        queryset: QuerySet[Message],
        search_term: str,  # noqa: ARG002
    ) -> tuple[QuerySet[Message], bool]:
        """Leave it to MessageList, which searches and filters at once."""
        return queryset, False

    def get_paginator(
        self, request: HttpRequest, queryset: QuerySet[Message], per_page: int, *_: Any, **__: Any
    ) -> Paginator:  # type: ignore[type-arg]
        found: Found | None = getattr(request, "found", None)
        if found is None:
            return CountedPaginator(queryset, per_page, most=REACH)
        return FoundPaginator(queryset, found.ids, per_page)

    @admin.display(description="message")
    def mail(self, row: Any) -> SafeString:
        more = f" and {row.recipient_count - 1} more" if row.recipient_count > 1 else ""
        way = f"{row.header_from or row.mail_from or '<>'} → {row.first_recipient or '–'}{more}"
        return cells.two_lines(row.subject or "(no subject)", way)

    @admin.display(description="state")
    def standing(self, row: Any) -> SafeString:
        deliveries = list(row.deliveries.all())
        pressing = next((part for part in deliveries if part.state == row.state), None)
        brief = _brief(pressing) if pressing else ""
        return format_html(
            "{}{}",
            cells.badge(*BOUNCED_BADGE) if row.has_bounced else state_badge(shown_state(row, deliveries)),
            format_html('<span class="second">{}</span>', brief) if brief else "",
        )

    @admin.display(description="accepted (UTC)")
    def accepted(self, row: Message) -> SafeString:
        return cells.two_lines(
            cells.short_moment(row.created_at), cells.relative(row.created_at, clock.now())
        )

    @admin.display(description="sender")
    def sent_by(self, row: Message) -> SafeString:
        return cells.two_lines(row.sender.name, cells.size(row.size))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export(self, request: HttpRequest, rows: QuerySet[Message]) -> HttpResponseBase:
        across = request.POST.get("select_across") == "1"
        return message_export.export(rows, getattr(request, "asked", None) if across else None)

    # --- One message -----------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        protect = self.admin_site.admin_view
        return [
            path("<uuid:pk>/raw/", protect(self.raw_view), name="mailrelay_message_raw"),
            path("<uuid:pk>/content/", protect(self.content_view), name="mailrelay_message_content"),
            path("<uuid:pk>/html/", protect(self.html_view), name="mailrelay_message_html"),
            path(
                "<uuid:pk>/file/<int:number>/",
                protect(self.attachment_view),
                name="mailrelay_message_attachment",
            ),
            path("<uuid:pk>/do/<slug:name>/", protect(self.action_view), name="mailrelay_message_action"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        message = self.get_object(request, object_id)
        if message is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        page = page_of(message)
        states = [part.delivery.state for part in page.parts]
        may_act = self.has_operate_permission(request)
        may_read = request.user.has_perm("mailrelay.view_content")
        return self._render(
            request,
            "console/message.html",
            message.subject or "(no subject)",
            page=page,
            message=message,
            actions=message_actions.offered(message, states, may_read=may_read) if may_act else [],
            may_read=may_read,
            several=len(page.parts) > 1,
            trace=message_trace.of(message) if State.SENT in states else None,
            bounces=self._bounces(page) if State.SENT in states else None,
        )

    def _bounces(self, page: MessagePage) -> message_bounces.Bounces:
        sent = next(part.delivery for part in page.parts if part.delivery.state == State.SENT)
        return message_bounces.of(page.message, sent.mailbox_id)

    def action_view(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
        """Ask on GET, act on POST."""
        action = ACTIONS.get(name)
        if action is None:
            raise Http404("There is no such action.")
        if not (self.has_view_permission(request) and self._may(request, action)):
            raise PermissionDenied
        message = self._find(pk)
        form = action.form(request.POST) if request.method == "POST" else None
        if form is not None and form.is_valid() and form.cleaned_data["asked"].keys() == {pk}:
            self._act(request, action, [message], form)
            return self._to_page(pk)
        return self._ask(request, action, [message], form, back=self._page_address(pk))

    def act_on_many(
        self, request: HttpRequest, action: Action, rows: QuerySet[Message]
    ) -> HttpResponseBase | None:
        """Ask about what is chosen, then act on what was asked about, whatever is listed by then."""
        form = action.form(request.POST) if "confirmed" in request.POST else None
        answered = form is not None and form.is_valid()
        if form is not None and (asked := form.cleaned_data.get("asked")):
            rows = Message.objects.filter(pk__in=asked).order_by("-created_at")
        chosen = list(rows.prefetch_related(None)[:REACH])
        if action.most and len(chosen) > action.most:
            text = f"{action.label}: at most {action.most} messages at a time; {len(chosen)} were chosen."
            messages.error(request, text)
            return None
        if form is not None and answered:
            self._act(request, action, chosen, form)
            return None
        return self._ask(
            request,
            action,
            chosen,
            form,
            ticked=request.POST.getlist(ACTION_CHECKBOX_NAME),
            ticked_name=ACTION_CHECKBOX_NAME,
            select_across=request.POST.get("select_across") == "1",
            back=request.get_full_path(),
        )

    def _may(self, request: HttpRequest, action: Action) -> bool:
        return self.has_forward_permission(request) if action.shows else self.has_operate_permission(request)

    def _act(self, request: HttpRequest, action: Action, rows: list[Message], form: Question) -> None:
        order = Order(request.user.get_username(), form.cleaned_data)
        message_actions.say(request, action, message_actions.run(action, rows, order))

    def _ask(
        self, request: HttpRequest, action: Action, rows: list[Message], form: Question | None, **context: Any
    ) -> HttpResponse:
        question = message_actions.confirmation(action, rows, form or message_actions.blank(action, rows))
        return self._render(request, "console/confirm.html", f"{action.label}?", **question, **context)


def _brief(delivery: Delivery) -> str:
    """Say in a few words what a row of the list waits for, without a query."""
    now = clock.now()
    status = of_delivery(delivery, now, looked_up=lambda row: bool(row.mailbox.can_read))
    away = cells.relative(status.next_at, now) if status.next_at else ""
    return ", ".join(filter(None, (status.brief, away))) if status.brief else ""
