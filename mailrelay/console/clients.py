"""The screen of SMTP clients: who may talk to the listener."""

from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mailrelay.console import refusals
from mailrelay.console.cells import NOTHING, badge, moment, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.devices import DeviceForm, refuse_taken, ways_in
from mailrelay.console.fields import NetworksField, PatternsField
from mailrelay.console.generic import ModelForm
from mailrelay.console.site import site
from mailrelay.models import Message, Refusal, SmtpClient
from mailrelay.routing.loading import environment_client

#: Messages of a client that are counted at most, and refusals that its page lists.
COUNTED, LISTED = 1000, 5


class ClientForm(ModelForm[SmtpClient]):
    networks = NetworksField(
        required=True,
        help_text="Networks that it connects from, one a line: 192.0.2.0/24, a single address, or the word "
        "private, which is written out. The narrowest network around an address counts.",
    )
    allowed_from = PatternsField(
        label="Allowed From",
        help_text="From addresses and @domains that it may use, one a line. Empty is any.",
    )

    class Meta:
        model = SmtpClient
        fields = ("name", "active", "networks", "allowed_from", "urgency")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Whoever logs in may come from anywhere.
        self.fields["networks"].required = not self.instance.login

    def clean_networks(self) -> str:
        text = str(self.cleaned_data["networks"])
        if not self.instance.login:
            refuse_taken(text, self.instance)
        return text


@admin.register(SmtpClient, site=site)
class ClientAdmin(ConfigurationAdmin[SmtpClient]):
    form = ClientForm
    change_list_template = "console/clients.html"
    list_display = ("client", "standing", "connects_from", "may_use", "seen", "mail")
    search_fields = ("name", "networks", "allowed_from")
    ordering = ("name",)
    present: ClassVar[tuple[str, ...]] = ("seen", "sent", "refused")
    fieldsets = (
        (None, {"fields": ("name", "active")}),
        ("How it is going", {"fields": present}),
        ("What it may do", {"fields": ("networks", "allowed_from", "urgency")}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.device_view)
        return [path("device/", view, name="smtpclient_device"), *super().get_urls()]

    def device_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for two fields; answer with the settings to copy, the password among them for this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DeviceForm(request.POST or None)
        made: dict[str, Any] = {}
        if form.is_valid():
            client, password = form.create()
            self.log_addition(request, client, [{"added": {}}])
            ways = list(ways_in(login=bool(password)))
            made = {"client": client, "password": password, "ways": ways}
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "New device"}
        page = {**context, "form": form, **made}
        return TemplateResponse(request, "console/device.html", page, headers={"Cache-Control": "no-store"})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        networks = [str(network) for network in environment_client().networks]
        return super().changelist_view(request, {**(extra_context or {}), "environment_networks": networks})

    @admin.display(description="client")
    def client(self, row: SmtpClient) -> str:
        return row.name

    @admin.display(description="state")
    def standing(self, row: SmtpClient) -> SafeString:
        return badge("Admitted", "good") if row.active else badge("Off", "quiet")

    @admin.display(description="connects from")
    def connects_from(self, row: SmtpClient) -> SafeString:
        if row.login:
            return two_lines(f"logs in as {row.login}", ", ".join(row.networks.split()[:3]))
        return _some(row.networks.split(), "nowhere")

    @admin.display(description="may send from")
    def may_use(self, row: SmtpClient) -> SafeString:
        return _some(row.allowed_from.split(), "any address")

    @admin.display(description="last seen")
    def seen(self, row: SmtpClient) -> SafeString:
        return moment(row.seen_at, timezone.now())

    @admin.display(description="sent in 24 h")
    def sent(self, row: SmtpClient) -> SafeString:
        """Count what it handed in, as far as COUNTED; leads to all of it."""
        since = timezone.now() - timedelta(days=1)
        count = Message.objects.filter(client=row, created_at__gte=since).order_by()[: COUNTED + 1].count()
        text = f"more than {COUNTED:,}" if count > COUNTED else f"{count:,}"
        return format_html('<a href="{}">{}</a>', _messages_of(row), text)

    @admin.display(description="mail")
    def mail(self, row: SmtpClient) -> SafeString:
        return format_html('<a href="{}">what it sent</a>', _messages_of(row))

    @admin.display(description="refused")
    def refused(self, row: SmtpClient) -> SafeString:
        """List what was refused to it lately, and why."""
        rows = Refusal.objects.filter(client_name=row.name).order_by("-last_at")[: LISTED + 1]
        if not rows:
            return NOTHING
        now = timezone.now()
        told = ((f"{one.count:,} ×", one.reply, moment(one.last_at, now)) for one in rows[:LISTED])
        lines = format_html_join("", '<li>{} {} <span class="second">{}</span></li>', told)
        return format_html('<ul>{}</ul><a href="{}">All of it</a>', lines, refusals.of_client(row))


def _messages_of(row: SmtpClient) -> str:
    return f"{reverse('admin:mailrelay_message_changelist')}?{urlencode({'client': row.pk})}"


def _some(words: list[str], none: str) -> SafeString:
    more = len(words) - 3
    return two_lines(", ".join(words[:3]) or none, f"and {more} more" if more > 0 else "")
