"""Tokens of the API: made by an administrator, shown once, switched off at any time."""

import secrets
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from mailrelay.console.cells import badge, relative, two_lines
from mailrelay.console.fields import WordsField
from mailrelay.console.generic import ModelChoiceField, ModelForm
from mailrelay.console.lists import ListAdmin
from mailrelay.console.site import site
from mailrelay.models import ApiToken, SmtpClient
from mailrelay.models.tokens import digest
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Scope

SCOPES = (
    (Scope.READ, "Read messages and their states, the queue, the senders; no content"),
    (Scope.OPERATE, "Requeue, hold, release, cancel and resend messages"),
    (Scope.SUBMIT, "Hand in mail, by the rules of the SMTP client below"),
    (Scope.TEST, "Send a test mail to any address, from a sender's own mailbox"),
)


class TokenForm(ModelForm[ApiToken]):
    scopes = WordsField(choices=SCOPES, initial=[Scope.READ])
    client = ModelChoiceField(
        SmtpClient.objects.order_by("name"),
        required=False,
        empty_label="none",
        label="SMTP client",
        help_text="Whose rules hold for what it submits: From, recipients, sizes, rates, networks.",
    )
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires (UTC)",
        help_text="From then on it is refused. Empty is never.",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "client", "requests_per_minute", "expires_at", "active")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if Scope.SUBMIT in cleaned.get("scopes", "").split() and not cleaned.get("client"):
            self.add_error(
                "client", ValidationError("Choose the SMTP client whose rules hold for what it submits.")
            )
        return cleaned


@admin.register(ApiToken, site=site)
class TokenAdmin(ListAdmin[ApiToken]):
    form = TokenForm
    list_display = ("name", "may", "standing", "expires_at", "last_used_at")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        return super().get_queryset(request).select_related("client")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        # One way to save: three buttons that differ by where one lands are two too many.
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="may")
    def may(self, row: ApiToken) -> SafeString:
        return two_lines(row.scopes.replace(" ", ", "), f"as {row.client}" if row.client else "")

    @admin.display(description="state")
    def standing(self, row: ApiToken) -> SafeString:
        now = clock.now()
        if not row.active:
            return badge("Off", "quiet")
        if row.expires_at is None:
            return badge("Valid", "good")
        if row.expires_at <= now:
            return badge("Expired", "bad")
        return badge(f"Ends {relative(row.expires_at, now)}", "good")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer with the token itself: the only page that ever shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.get_form(request)(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return super().add_view(request, form_url, extra_context)
        token = f"mgw_{secrets.token_urlsafe(32)}"
        form.instance.digest = digest(token)
        row = form.save()
        self.log_addition(request, row, [{"added": {}}])
        page = {**self.admin_site.each_context(request), "opts": self.opts, "title": "New token"}
        shown = {**page, "row": row, "token": token}
        return TemplateResponse(request, "console/token.html", shown, headers={"Cache-Control": "no-store"})
