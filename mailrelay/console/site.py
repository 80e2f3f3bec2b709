"""The admin site of the gateway: its look, and the order of its screens."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from mailrelay.console import entra_sign_in, glossary, second_factor

#: The screens in the order in which people need them, with what each is for.
SCREENS = {
    "Message": "What was accepted, where it stands, and what is to be done about it.",
    "SenderConfig": "Which mail goes out through which mailbox, and under which name.",
    "Mailbox": "What Microsoft limits, how much of it is used, and what stands still.",
    "AppRegistration": "The applications in Entra ID whose tokens send the mail.",
    "SmtpClient": "Applications and devices that may hand mail in.",
    "ClientDefaults": "What holds for all of them: default domain, aliases, repeated mail.",
    "Alert": "What is the matter with the gateway, and what was.",
    "AlertChannel": "Who is told about that, how, and how often.",
    "Refusal": "What the listener refused, to whom and why; what should have been let in is allowed here.",
    "Worker": "Processes that deliver, and whether they are alive.",
    "User": "People who may log in.",
    "Group": "What people may do, by role.",
    "ApiToken": "Scripts that read or act through the API.",
    "AuditEvent": "Who changed what, and who looked at whose mail.",
}


class GatewayAdminSite(AdminSite):
    site_header = "Mail gateway"
    site_title = "Mail gateway"
    index_title = "Mail gateway"
    # The way from the admin to the "site" would lead to the admin.
    site_url = None
    empty_value_display = "–"
    # The screens are few enough for a line at the top of each page (templates/admin/base_site.html).
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the overview to anyone who may see messages, and the screens to everybody."""
        # Here, since the screens that it leads to import this module.
        from mailrelay.console import overview

        figures = overview.context() if request.user.has_perm("mailrelay.view_message") else None
        more = {"overview": figures, **(extra_context or {})}
        return super().index(request, more)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = [
            path("second-factor/", self.admin_view(second_factor.page), name="second_factor"),
            path("glossary/", self.admin_view(glossary.page), name="glossary"),
            path("entra/", entra_sign_in.go, name="entra"),
            path("entra/back/", entra_sign_in.back, name="entra_back"),
        ]
        return [*own, *super().get_urls()]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Offer the ways to sign in that the settings have."""
        ways = {"by_entra": entra_sign_in.configured(), "by_password": settings.WEB_LOCAL_LOGIN}
        return super().login(request, {**ways, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Put the screens into one list, in the order of SCREENS, each with its description."""
        models = [model for app in super().get_app_list(request, app_label) for model in app["models"]]
        for model in models:
            model["description"] = SCREENS.get(model["object_name"], "")
        models.sort(key=lambda model: _place(model["object_name"]))
        address = reverse("admin:index", current_app=self.name)
        one = {"name": self.site_header, "app_label": "mailrelay", "app_url": address, "models": models}
        return [{**one, "has_module_perms": True}] if models else []


def _place(name: str) -> int:
    names = list(SCREENS)
    return names.index(name) if name in names else len(names)


site = GatewayAdminSite(name="admin")
