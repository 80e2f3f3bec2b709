"""The screen of SMTP clients: who may talk to the listener."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from mailrelay.console.cells import badge, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
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

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        others = SmtpClient.objects.exclude(pk=self.instance.pk).filter(active=True)
        taken = {word: name for name, text in others.values_list("name", "networks") for word in text.split()}
        for word in cleaned.get("networks", "").split():
            if word in taken:
                self.add_error(
                    "networks",
                    f"The network {word} belongs to the client “{taken[word]}”: take it off there first.",
                )
        return cleaned


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
        return _some(row.networks.split(), "nowhere")

    @admin.display(description="may send from")
    def may_use(self, row: SmtpClient) -> SafeString:
        return _some(row.allowed_from.split(), "any address")


def _some(words: list[str], none: str) -> SafeString:
    more = len(words) - 3
    return two_lines(", ".join(words[:3]) or none, f"and {more} more" if more > 0 else "")
