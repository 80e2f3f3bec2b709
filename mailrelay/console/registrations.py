"""The screen of app registrations: how tokens are had, and how that is going."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from mailrelay.console import proof_trial
from mailrelay.console.cells import NOTHING, badge, moment, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.proof_trial import ALTHOUGH, NotConfirmedError
from mailrelay.console.registration_form import ENTERED, RegistrationForm
from mailrelay.console.rotation import Rotation
from mailrelay.console.site import site
from mailrelay.models import AppRegistration
from mailrelay.models.senders import SECRETS
from mailrelay.outbox.operators import registrations
from mailrelay.status.words import name_of_credential, reason_words

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


@admin.register(AppRegistration, site=site)
class RegistrationAdmin(ConfigurationAdmin[AppRegistration]):
    form = RegistrationForm
    change_form_template = "console/registration_form.html"
    list_display = ("registration", "standing", "credential", "token", "owned_by")
    search_fields = ("name", "tenant_id", "client_id")
    ordering = ("name",)
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
                "description": "A secret or certificate is tried before it is stored.",
                "fields": (
                    "kind",
                    "new_secret",
                    "secret_expires_on",
                    "certificate_path",
                    "new_certificate",
                    "new_certificate_password",
                    "token_file",
                ),
            },
        ),
        ("Cloud", {"fields": ("cloud", "authority_host", "graph_endpoint")}),
        ("Limits", {"fields": ("concurrency",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AppRegistration]:
        return super().get_queryset(request).defer(*SECRETS)

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
        super().save_model(request, obj, form, change)
        if change and CREDENTIAL & set(form.changed_data):
            self.after_commit(request, lambda: registrations.renew(obj))

    @method_decorator(sensitive_post_parameters())
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Try what a new row is to prove itself with, and store it when that is confirmed."""
        if request.method == "POST" and self.has_add_permission(request):
            answer = self._to_be_tried(request)
            if answer is not None:
                return answer
        return super().add_view(request, form_url, extra_context)

    def _to_be_tried(self, request: HttpRequest) -> HttpResponse | None:
        """Answer with the trial; None when it is over, or when there is nothing to be tried."""
        purpose = f"new app registration {request.user.pk}"
        if request.POST.get("step") == "save":
            try:
                values = proof_trial.confirmed(purpose, request.POST)
            except NotConfirmedError as problem:
                self.message_user(request, str(problem), messages.WARNING)
                return HttpResponseRedirect(request.path)
            request.POST = QueryDict(values["form"])  # as it was entered and tried
            request.trial_failed = not values["good"]  # type: ignore[attr-defined] # for the history
            return None
        form: Any = self.get_form(request)(request.POST)
        if not form.is_valid() or not form.brings_proof:
            return None
        values = {"form": request.POST.urlencode()}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New app registration",
        }
        found = proof_trial.tried(form.instance, purpose, values)
        page = {**context, **found, "name": form.instance.name, "again": urlencode(form.without_proof())}
        return TemplateResponse(request, "console/registration_tried.html", page)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if getattr(request, "trial_failed", False):
            message = f"Added, with a {name_of_credential(obj.kind)}, {ALTHOUGH}."
        return super().log_addition(request, obj, message)

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
        return name_of_credential(row.secret_in_use) or "–"

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
