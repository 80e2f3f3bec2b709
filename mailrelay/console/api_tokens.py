"""Tokens of the API: made by an administrator, shown once, switched off at any time."""

import hashlib
import secrets
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from mailrelay.console.generic import ModelAdmin, ModelForm
from mailrelay.console.site import site
from mailrelay.models import ApiToken

READ, OPERATE = "read", "operate"
SCOPES = (
    (READ, "Read messages and their states; no content"),
    (OPERATE, "Requeue, hold, release and cancel messages"),
)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class TokenForm(ModelForm[ApiToken]):
    scopes = forms.MultipleChoiceField(choices=SCOPES, widget=forms.CheckboxSelectMultiple, initial=[READ])

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["scopes"] = self.instance.scopes.split()

    def clean_scopes(self) -> str:
        return " ".join(self.cleaned_data["scopes"])


@admin.register(ApiToken, site=site)
class TokenAdmin(ModelAdmin[ApiToken]):
    form = TokenForm
    list_display = ("name", "scopes", "active", "last_used_at")
    ordering = ("name",)
    sortable_by = ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer with the token itself: the only page that ever shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return super().add_view(request, form_url, extra_context)
        token = f"mgw_{secrets.token_urlsafe(32)}"
        form.instance.digest = digest(token)
        row = form.save()
        self.log_addition(request, row, [{"added": {}}])
        page = {**self.admin_site.each_context(request), "opts": self.opts, "title": "New token"}
        shown = {**page, "row": row, "token": token}
        return TemplateResponse(request, "console/token.html", shown, headers={"Cache-Control": "no-store"})
