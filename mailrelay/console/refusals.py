"""The list of what the listener refused, by address and rule, and the page that allows one of it."""

from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mailrelay.console.cells import NOTHING, moment, two_lines
from mailrelay.console.devices import refuse_taken
from mailrelay.console.generic import ModelAdmin, ModelChoiceField
from mailrelay.console.site import site
from mailrelay.models import Refusal, SmtpClient

#: Rules that a person can let go here: of an address that is nobody's, and of a From that is not listed.
ADDRESS, FROM = "client", "client-from"
#: Bits of the network around an address that may be allowed instead of it.
AROUND = {4: 24, 6: 64}


class AllowForm(forms.Form):
    """What is allowed to whom; `save` gives the client that was changed or made."""

    question = ""

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusal = refusal

    def save(self) -> SmtpClient:
        """Store it. The form is valid."""
        return SmtpClient.objects.get()


class AllowAddressForm(AllowForm):
    question = "It may send from the next few seconds on, as what you choose here."
    network = forms.ChoiceField(label="Allow", widget=forms.RadioSelect)
    client = ModelChoiceField(
        SmtpClient.objects.filter(active=True, login="").order_by("name"),
        required=False,
        empty_label="A new client",
        label="As part of",
    )
    name = forms.CharField(
        max_length=150, required=False, label="Name of the new client", help_text="What people call it."
    )

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        address = ip_address(refusal.address)
        around = ip_network((address, AROUND[address.version]), strict=False)
        self.fields["network"].choices = [  # type: ignore[attr-defined]
            (str(ip_network(address)), f"{address} alone"),
            (str(around), f"all of {around}"),
        ]
        self.fields["network"].initial = str(ip_network(address))
        self.fields["name"].initial = f"client at {address}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        client, name = cleaned.get("client"), cleaned.get("name", "")
        if client is None and (not name or SmtpClient.objects.filter(name=name).exists()):
            self.add_error("name", "Enter a name that no client has yet, or choose a client above.")
        if cleaned.get("network"):
            try:
                refuse_taken(cleaned["network"], client)
            except ValidationError as taken:
                self.add_error("network", taken)
        return cleaned

    def save(self) -> SmtpClient:
        network, client = self.cleaned_data["network"], self.cleaned_data["client"]
        row = client or SmtpClient(name=self.cleaned_data["name"])
        row.networks = "\n".join(dict.fromkeys([*row.networks.split(), network]))
        row.save(update_fields=["networks"] if row.pk else None)
        return row


class AllowFromForm(AllowForm):
    question = "The client may use it from the next few seconds on, beside what it may use already."
    pattern = forms.ChoiceField(label="Allow", widget=forms.RadioSelect)

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        address = refusal.mail_from.lower()
        domain = f"@{address.rpartition('@')[2]}"
        self.fields["pattern"].choices = [(address, f"{address} alone"), (domain, f"all of {domain}")]  # type: ignore[attr-defined]
        self.fields["pattern"].initial = address

    def save(self) -> SmtpClient:
        row = SmtpClient.objects.get(name=self.refusal.client_name)
        row.allowed_from = "\n".join(dict.fromkeys([*row.allowed_from.split(), self.cleaned_data["pattern"]]))
        row.save(update_fields=["allowed_from"])
        return row


def form_for(refusal: Refusal) -> type[AllowForm] | None:
    """Choose the form that lets a refusal go; None where a list of clients has nothing to do with it."""
    if refusal.rule == ADDRESS:
        try:
            ip_address(refusal.address)
        except ValueError:  # a proxy did not name it
            return None
        return AllowAddressForm
    named = bool(refusal.mail_from) and SmtpClient.objects.filter(name=refusal.client_name).exists()
    return AllowFromForm if refusal.rule == FROM and named else None


@admin.register(Refusal, site=site)
class RefusalAdmin(ModelAdmin[Refusal]):
    list_display = ("who", "what", "sender", "count", "last", "allow")
    list_display_links = None
    list_filter = ("rule",)
    search_fields = ("address", "client_name", "mail_from", "reply")
    ordering = ("-last_at",)
    sortable_by = ()
    list_per_page = 50
    actions = None
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - nobody makes one
        return False

    def has_change_permission(self, request: HttpRequest, obj: Refusal | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Refusal | None = None) -> bool:  # noqa: ARG002
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.allow_view)
        return [path("<int:pk>/allow/", view, name="refusal_allow"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Refused at the door", **(extra_context or {})})

    def allow_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask what is to be allowed to whom, and do it; pressed twice, the second finds nothing left."""
        if not request.user.has_perm("mailrelay.change_smtpclient"):
            raise PermissionDenied
        back = reverse("admin:mailrelay_refusal_changelist")
        row = Refusal.objects.filter(pk=pk).first()
        if row is None:
            messages.warning(request, "It was allowed already, or is not refused any more.")
            return HttpResponseRedirect(back)
        kind = form_for(row)
        if kind is None:
            raise Http404
        form = kind(row, request.POST or None)
        if form.is_valid():
            client = form.save()
            Refusal.objects.filter(pk=row.pk).delete()
            # The entry is the client's, whose history it belongs to.
            self.log_change(request, client, f"Allowed {', '.join(_words(form))}")  # type: ignore[arg-type]
            messages.success(request, f"“{client.name}” may, from the next few seconds on.")
            return HttpResponseRedirect(reverse("admin:mailrelay_smtpclient_change", args=[client.pk]))
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Allow"}
        page = {**context, "row": row, "form": form, "back": back}
        return TemplateResponse(request, "console/allow.html", page)

    @admin.display(description="client")
    def who(self, row: Refusal) -> SafeString:
        return two_lines(row.address, row.client_name or "nobody's address")

    @admin.display(description="reply")
    def what(self, row: Refusal) -> SafeString:
        return two_lines(row.reply, row.rule)

    @admin.display(description="from")
    def sender(self, row: Refusal) -> str:
        return row.mail_from

    @admin.display(description="last")
    def last(self, row: Refusal) -> SafeString:
        return moment(row.last_at, timezone.now())

    @admin.display(description="")
    def allow(self, row: Refusal) -> SafeString:
        if form_for(row) is None:
            return NOTHING
        return format_html('<a href="{}">Allow</a>', reverse("admin:refusal_allow", args=[row.pk]))


def _words(form: AllowForm) -> list[str]:
    names = ("network", "pattern")
    return [str(form.cleaned_data[name]) for name in names if name in form.cleaned_data]


def of_client(client: SmtpClient) -> str:
    """Return the address of the list of what was refused to `client`."""
    return f"{reverse('admin:mailrelay_refusal_changelist')}?{urlencode({'q': client.name})}"
