"""The list of what was refused, by address and rule: what to do about it, and the page that allows it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mailrelay.console.allowing import advice_on, form_for
from mailrelay.console.cells import moment, two_lines
from mailrelay.console.lists import ReadOnlyAdmin
from mailrelay.console.site import site
from mailrelay.models import Refusal, SmtpClient

COLUMNS = ("who", "what", "sender", "times", "last")


class RefusalList(ChangeList):
    """The list with the clients that it names, found at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = {row.client_name for row in self.result_list}
        known = {client.name: client for client in SmtpClient.objects.filter(name__in=names)}
        for row in self.result_list:
            row.known = known.get(row.client_name)


@admin.register(Refusal, site=site)
class RefusalAdmin(ReadOnlyAdmin[Refusal]):
    heading = "Refused mail"
    list_display_links = None
    list_filter = ("rule",)
    search_fields = ("address", "client_name", "mail_from", "reply")
    ordering = ("-last_at",)
    actions = None
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return RefusalList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.allow_view)
        return [path("<int:pk>/allow/", view, name="refusal_allow"), *super().get_urls()]

    def allow_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask what is to be allowed to whom, and do it; pressed twice, the second finds nothing left."""
        if not request.user.has_perm("mailrelay.change_smtpclient"):
            raise PermissionDenied
        back = reverse("admin:mailrelay_refusal_changelist")
        row = Refusal.objects.filter(pk=pk).first()
        if row is None:
            messages.warning(request, "It was allowed already, or is not refused any more.")
            return HttpResponseRedirect(back)
        kind = form_for(row, SmtpClient.objects.filter(name=row.client_name).first())
        if kind is None:
            raise Http404
        form = kind(row, request.POST or None)
        if form.is_valid():
            client = form.save()
            Refusal.objects.filter(pk=row.pk).delete()
            # The entry is the client's, whose history it belongs to.
            self.log_change(request, client, f"Allowed {form.allowed}")  # type: ignore[arg-type]
            messages.success(request, f"“{client.name}” may, from the next few seconds on.")
            return HttpResponseRedirect(reverse("admin:mailrelay_smtpclient_change", args=[client.pk]))
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Allow"}
        page = {**context, "row": row, "times": self.times(row), "form": form, "back": back}
        return TemplateResponse(request, "console/allow.html", page)

    @admin.display(description="client")
    def who(self, row: Any) -> SafeString:
        if row.known is None:
            return two_lines(row.address, row.client_name or "nobody's address")
        page = reverse("admin:mailrelay_smtpclient_change", args=[row.known.pk])
        return two_lines(row.address, format_html('<a href="{}">{}</a>', page, row.client_name))

    @admin.display(description="reply")
    def what(self, row: Refusal) -> SafeString:
        return two_lines(row.reply, row.rule)

    @admin.display(description="from")
    def sender(self, row: Refusal) -> str:
        return row.mail_from

    @admin.display(description="times")
    def times(self, row: Refusal) -> str:
        return f"{row.count:,}"

    @admin.display(description="last")
    def last(self, row: Refusal) -> SafeString:
        return moment(row.last_at, timezone.now())

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the way to the page to those alone who may go there."""
        may = request.user.has_perm("mailrelay.change_smtpclient")
        return (*COLUMNS, "allow" if may else "advice")

    @admin.display(description="what to do")
    def allow(self, row: Any) -> SafeString:
        if form_for(row, row.known) is None:
            return _quiet(advice_on(row))
        return format_html('<a href="{}">Allow</a>', reverse("admin:refusal_allow", args=[row.pk]))

    @admin.display(description="what to do")
    def advice(self, row: Any) -> SafeString:
        formless = form_for(row, row.known) is None
        return _quiet(advice_on(row) if formless else "Who may change clients can allow it here.")


def _quiet(text: str) -> SafeString:
    return format_html('<span class="quiet">{}</span>', text)


def of_client(client: SmtpClient) -> str:
    """Return the address of the list of what was refused to `client`."""
    return f"{reverse('admin:mailrelay_refusal_changelist')}?{urlencode({'q': client.name})}"
