"""The screen of app registrations: how tokens are had, and how that is going."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from mailrelay.console.cells import NOTHING, badge, moment, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.fields import (
    ClientIdField,
    HttpsOriginField,
    NewCertificateField,
    NewSecretField,
    TenantField,
)
from mailrelay.console.generic import ModelForm
from mailrelay.console.rotation import Rotation
from mailrelay.console.site import site
from mailrelay.console.words import name_of_proof, reason_words
from mailrelay.graph.credentials import GLOBAL_AUTHORITY, GLOBAL_GRAPH
from mailrelay.models import AppRegistration
from mailrelay.outbox import registrations
from mailrelay.vocabulary import CredentialKind

#: Columns that the admin never reads, so that it can neither show them nor fail to decrypt them.
WITHOUT_SECRETS = (
    "secret",
    "next_secret",
    "certificate",
    "certificate_password",
    "next_certificate",
    "next_certificate_password",
)
#: Fields that a token depends on: a change of one is a new version of the credential.
CREDENTIAL = frozenset(
    {
        "tenant_id",
        "client_id",
        "authority_host",
        "graph_endpoint",
        "kind",
        "certificate_path",
        "token_file",
        "cloud",
        "active",
    }
)
#: Fields of a new row for what can be entered and not read back, and their columns. In a row that mail
#: depends on, secrets are replaced on a page that tries them first.
ENTERED = {
    "new_secret": "secret",
    "new_certificate": "certificate",
    "new_certificate_password": "certificate_password",
}
ENCRYPTED = "It is encrypted, and never shown again."


class RegistrationForm(ModelForm[AppRegistration]):
    tenant_id = TenantField(label="Tenant id", help_text="Directory (tenant) ID, or a domain of the tenant.")
    client_id = ClientIdField(label="Client id", help_text="Application (client) ID.")
    authority_host = HttpsOriginField(
        label="Authority",
        initial=GLOBAL_AUTHORITY,
        help_text="Where tokens come from; differs in national clouds.",
    )
    graph_endpoint = HttpsOriginField(
        label="Graph endpoint",
        initial=GLOBAL_GRAPH,
        help_text="Where mail goes to; differs in national clouds.",
    )
    new_secret = NewSecretField(label="Client secret", help_text=ENCRYPTED)
    new_certificate = NewCertificateField(label="Certificate and key", help_text=ENCRYPTED)
    new_certificate_password = NewSecretField(label="Certificate password", help_text=ENCRYPTED)

    class Meta:
        model = AppRegistration
        fields = (
            "name",
            "active",
            "tenant_id",
            "client_id",
            "kind",
            "certificate_path",
            "token_file",
            "secret_expires_on",
            "concurrency",
            "cloud",
            "authority_host",
            "graph_endpoint",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = self._which_are_stored()
        if self.instance.pk is not None:
            for name in ENTERED:
                del self.fields[name]

    def _which_are_stored(self) -> set[str]:
        """Tell which secrets the row has, without reading them."""
        mine = AppRegistration.objects.filter(pk=self.instance.pk)
        if self.instance.pk is None:
            return set()
        return {column for column in WITHOUT_SECRETS if mine.exclude(**{column: ""}).exists()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("kind")
        if kind == CredentialKind.SECRET and not cleaned.get("new_secret") and "secret" not in self._stored:
            field = "new_secret" if "new_secret" in self.fields else "kind"
            self.add_error(field, "Enter the value of a client secret: none is stored.")
        has_certificate = "certificate" in self._stored or cleaned.get("new_certificate")
        if kind == CredentialKind.CERTIFICATE and not has_certificate:
            self._require_path("certificate_path", "the PEM or PFX file with the key and the certificate")
        if kind == CredentialKind.FEDERATED:
            self._require_path("token_file", "the file with the federated token")
        return cleaned

    def _require_path(self, field: str, what: str) -> None:
        if not str(self.cleaned_data.get(field) or "").startswith("/"):
            self.add_error(field, f"Enter the absolute path of {what}, as the workers see it.")


@admin.register(AppRegistration, site=site)
class RegistrationAdmin(ConfigurationAdmin[AppRegistration]):
    form = RegistrationForm
    change_form_template = "console/registration_form.html"
    list_display = ("registration", "standing", "credential", "token", "owned_by")
    search_fields = ("name", "tenant_id", "client_id")
    ordering = ("name",)
    sortable_by = ()
    present: ClassVar[tuple[str, ...]] = (
        "health",
        "next_try",
        "last_token",
        "proved_by",
        "last_refusal",
    )
    entry_only: ClassVar[tuple[str, ...]] = tuple(ENTERED)
    fieldsets = (
        (None, {"fields": ("name", "active")}),
        ("How it is going", {"fields": present}),
        ("Application", {"fields": ("tenant_id", "client_id")}),
        (
            "Credential",
            {
                "fields": (
                    "kind",
                    "new_secret",
                    "secret_expires_on",
                    "certificate_path",
                    "new_certificate",
                    "new_certificate_password",
                    "token_file",
                )
            },
        ),
        ("Cloud", {"fields": ("cloud", "authority_host", "graph_endpoint")}),
        ("Limits", {"fields": ("concurrency",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AppRegistration]:
        return super().get_queryset(request).defer(*WITHOUT_SECRETS)

    def in_use(self, row: AppRegistration) -> str:
        if not row.mailboxes.exists():
            return ""
        return (
            f"The app registration “{row.name}” cannot be deleted: mailboxes send through it. Let their "
            "senders use another one and delete the mailboxes first, or switch the registration off."
        )

    def get_fieldsets(self, request: HttpRequest, obj: AppRegistration | None = None) -> Any:
        hidden = set(ENTERED) if obj is not None else set()
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def save_model(self, request: HttpRequest, obj: AppRegistration, form: Any, change: bool) -> None:
        for name, column in ENTERED.items():
            if form.cleaned_data.get(name):
                setattr(obj, column, form.cleaned_data[name])
        super().save_model(request, obj, form, change)
        if change and CREDENTIAL & set(form.changed_data):
            self.after_commit(request, lambda: registrations.renew(obj))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rotation_view)
        name = "appregistration_rotation"
        return [path("<int:pk>/rotation/", view, name=name), *super().get_urls()]

    @method_decorator(sensitive_post_parameters())
    def rotation_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Replace the secret or certificate: try what is pasted, show what came of it, store it."""
        row = self.get_object(request, str(pk))
        if row is None or not self.has_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Replace the credential",
        }
        back = reverse("admin:mailrelay_appregistration_change", args=[row.pk])
        response, done = Rotation(row, request).respond(context, back)
        if done is not None and done.moved:
            self.log_change(request, row, [{"changed": {"fields": [done.field]}}])
        return response

    @admin.display(description="app registration")
    def registration(self, row: AppRegistration) -> SafeString:
        return two_lines(row.name, row.tenant_id)

    @admin.display(description="state")
    def standing(self, row: AppRegistration) -> SafeString:
        if not row.active:
            return badge("Off", "quiet")
        if row.failing:
            return badge(reason_words(row.failing).title, "bad")
        if row.token_refused:
            return badge("Refused by Entra ID", "bad")
        if row.token_succeeded_at is None:
            return badge("Not tried yet", "quiet")
        return badge("Working", "good")

    @admin.display(description="state")
    def health(self, row: AppRegistration) -> SafeString:
        return two_lines(self.standing(row), row.failing_text)

    @admin.display(description="next try")
    def next_try(self, row: AppRegistration) -> SafeString:
        return moment(row.retry_at, timezone.now()) if row.failing else NOTHING

    @admin.display(description="last token")
    def last_token(self, row: AppRegistration) -> SafeString:
        return moment(row.token_succeeded_at, timezone.now())

    @admin.display(description="proved by")
    def proved_by(self, row: AppRegistration) -> str:
        return name_of_proof(row.secret_in_use) or "–"

    @admin.display(description="last refusal")
    def last_refusal(self, row: AppRegistration) -> SafeString:
        return two_lines(moment(row.token_failed_at, timezone.now()), row.token_error)

    @admin.display(description="credential")
    def credential(self, row: AppRegistration) -> str:
        return row.get_kind_display()

    @admin.display(description="token valid until")
    def token(self, row: AppRegistration) -> SafeString:
        return moment(row.token_expires_at, timezone.now())

    @admin.display(description="kept by")
    def owned_by(self, row: AppRegistration) -> str:
        return row.get_managed_by_display()
