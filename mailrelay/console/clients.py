"""The screen of SMTP clients: who may talk to the listener."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from mailrelay.console.cells import badge, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.devices import DeviceForm, refuse_taken, ways_in
from mailrelay.console.fields import NetworksField, PatternsField
from mailrelay.console.generic import ModelForm
from mailrelay.console.site import site
from mailrelay.models import SmtpClient
from mailrelay.routing.loading import environment_client


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
    list_display = ("client", "standing", "connects_from", "may_use")
    search_fields = ("name", "networks", "allowed_from")
    ordering = ("name",)
    sortable_by = ()

    def in_use(self, row: SmtpClient) -> str:  # noqa: ARG002 - its messages stay on record without it
        return ""

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


def _some(words: list[str], none: str) -> SafeString:
    more = len(words) - 3
    return two_lines(", ".join(words[:3]) or none, f"and {more} more" if more > 0 else "")
