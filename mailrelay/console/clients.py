"""The screen of SMTP clients: who may talk to the listener."""

from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mailrelay.console import refusals
from mailrelay.console.cells import NOTHING, badge, moment, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.devices import DeviceForm, PasswordForm, refuse_taken, server_settings
from mailrelay.console.fields import (
    AliasesField,
    DomainField,
    LimitField,
    NetworksField,
    PatternsField,
    WholeNumberField,
)
from mailrelay.console.generic import ModelForm
from mailrelay.console.site import site
from mailrelay.models import ClientDefaults, Message, Refusal, SmtpClient
from mailrelay.models.numbers import MOST
from mailrelay.routing.loading import environment_client

#: Messages of a client that are counted at most, and refusals that its page lists.
COUNTED, LISTED = 1000, 5
LIMITS = ("max_message_size", "messages_per_minute", "max_connections", "urgency")
RULES = ("default_domain", "aliases", "repeat_minutes")
WITHOUT = "It has no password yet and cannot log in: “New password” on its page makes one."
NOT_MADE = "No password was made: this one was changed meanwhile. Open the page again to make another."


class RulesForm(ModelForm[Any]):
    """The fields of what holds for one client or for all; a form that leaves one empty says nothing."""

    otherwise = "what the settings say"

    default_domain = DomainField(label="Default domain")
    aliases = AliasesField(label="Aliases")
    repeat_minutes = WholeNumberField(
        required=False,
        min_value=0,
        max_value=MOST["PositiveSmallIntegerField"],
        label="Repeated mail, minutes",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        helps = {
            "default_domain": "Of recipients that are written without one: with example.org, mail for root "
            "goes to root@example.org. Empty is {0}.",
            "aliases": "Whom recipients stand for, a name a line: root: admin@example.org, ops@example.org. "
            "A name that is not here is looked for among {0}.",
            "repeat_minutes": "The same mail (Message-ID, envelope and content) that comes again within "
            "these minutes is one whose 250 was lost: it is given the first queue id and sent once. 0 is "
            "never, empty is {0}.",
        }
        for name, text in helps.items():
            self.fields[name].help_text = text.format(self.otherwise)


class DefaultsForm(RulesForm):
    class Meta:
        model = ClientDefaults
        fields = RULES


class ClientForm(RulesForm):
    otherwise = "the rules of all clients"

    login = forms.CharField(
        required=False,
        max_length=200,
        label="User name",
        help_text="What it logs in with. A client that has one is not let in by its networks alone.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    networks = NetworksField(
        help_text="Networks that it connects from, one a line: 192.0.2.0/24, a single address, or the words "
        "private and loopback, which are written out. The narrowest network around an address counts. With a "
        "user name: where it may log in from, and empty is anywhere.",
    )
    allowed_from = PatternsField(
        label="Allowed From",
        help_text="From addresses and @domains that it may use, one a line. Empty is any.",
    )
    allowed_recipients = PatternsField(
        label="Allowed recipients",
        help_text="Addresses and @domains that it may send to, one a line. Empty is any.",
    )
    max_message_size = LimitField(
        most=MOST["PositiveBigIntegerField"],
        label="Largest message",
        help_text="Bytes; 0 is what the listener takes (SMTP_MAX_MESSAGE_SIZE).",
    )
    messages_per_minute = LimitField(
        label="Messages a minute", help_text="In each listener process; 0 is no limit."
    )
    max_connections = LimitField(
        label="Connections at a time",
        help_text="In each listener process; 0 is SMTP_MAX_CONNECTIONS_PER_CLIENT.",
    )

    class Meta:
        model = SmtpClient
        fields = (
            "name",
            "active",
            "login",
            "networks",
            "allowed_from",
            "allowed_recipients",
            *LIMITS,
            *RULES,
        )

    def clean_login(self) -> str:
        login = str(self.cleaned_data["login"]).strip()
        others = SmtpClient.objects.exclude(pk=self.instance.pk).filter(login__iexact=login)
        if login and (other := others.first()) is not None:
            raise ValidationError(f"The client “{other.name}” logs in with this name: choose another one.")
        return login

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        networks = cleaned.get("networks")
        if cleaned.get("login") or networks is None:
            return cleaned
        if not networks:
            self.add_error("networks", "A network is required where there is no user name.")
        try:
            refuse_taken(networks, self.instance)
        except ValidationError as taken:
            self.add_error("networks", taken)
        return cleaned


@admin.register(SmtpClient, site=site)
class ClientAdmin(ConfigurationAdmin[SmtpClient]):
    form = ClientForm
    change_form_template = "console/client_form.html"
    change_list_template = "console/clients.html"
    list_display = ("client", "standing", "connects_from", "may_use", "seen", "mail")
    search_fields = ("name", "networks", "allowed_from")
    ordering = ("name",)
    present: ClassVar[tuple[str, ...]] = ("seen", "sent", "refused")
    fieldsets = (
        (None, {"fields": ("name", "active")}),
        ("How it is going", {"fields": present}),
        ("Where it comes from", {"fields": ("login", "networks")}),
        ("What it may do", {"fields": ("allowed_from", "allowed_recipients", *LIMITS)}),
        ("What becomes of its mail", {"fields": RULES}),
    )

    def get_urls(self) -> list[URLPattern]:
        protect = self.admin_site.admin_view
        return [
            path("device/", protect(self.device_view), name="smtpclient_device"),
            path("<int:pk>/password/", protect(self.password_view), name="smtpclient_password"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: SmtpClient, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.login and not obj.password_hash:
            self.message_user(request, WITHOUT, messages.WARNING)

    def device_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for two fields; answer with the settings to copy, the password among them for this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DeviceForm(f"new device {request.user.pk}", request.POST or None)
        if not form.is_valid():
            return self._page(request, "New device", form=form)
        client = form.save()
        if form.is_new:
            self.log_addition(request, client, [{"added": {}}])
        return self._settings(request, client, form.password if client.login else "")

    def password_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then make a new password and show it with the settings to copy, for this once."""
        row = self.get_object(request, str(pk))
        if row is None or not row.login or not self.has_change_permission(request, row):
            raise PermissionDenied
        purpose = f"password {row.pk} {request.user.pk}"
        form = PasswordForm(purpose, request.POST or None, row.password_hash)
        if not form.is_valid():
            return self._page(request, "New password", form=form, asked=row)
        if not form.give(row):
            self.message_user(request, NOT_MADE, messages.WARNING)
            return HttpResponseRedirect(reverse("admin:mailrelay_smtpclient_change", args=[row.pk]))
        self.log_change(request, row, "New password.")
        return self._settings(request, row, form.password)

    def _settings(self, request: HttpRequest, client: SmtpClient, password: str) -> HttpResponse:
        ways = list(server_settings(login=bool(password)))
        title = "New password" if password else "New device"
        return self._page(request, title, client=client, password=password, ways=ways)

    def _page(self, request: HttpRequest, title: str, **more: Any) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, **more}
        return TemplateResponse(
            request, "console/device.html", context, headers={"Cache-Control": "no-store"}
        )

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


@admin.register(ClientDefaults, site=site)
class DefaultsAdmin(ConfigurationAdmin[ClientDefaults]):
    """One row, which is there as soon as somebody looks."""

    form = DefaultsForm
    list_display = ("__str__", "default_domain", "alias_names", "repeat_minutes")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ClientDefaults | None = None) -> bool:  # noqa: ARG002
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not ClientDefaults.objects.exists():
            ClientDefaults.objects.get_or_create(pk=1)
        return super().changelist_view(request, extra_context)

    @admin.display(description="aliases")
    def alias_names(self, row: ClientDefaults) -> str:
        return ", ".join(row.aliases)


def _messages_of(row: SmtpClient) -> str:
    return f"{reverse('admin:mailrelay_message_changelist')}?{urlencode({'client': row.pk})}"


def _some(words: list[str], none: str) -> SafeString:
    more = len(words) - 3
    return two_lines(", ".join(words[:3]) or none, f"and {more} more" if more > 0 else "")
