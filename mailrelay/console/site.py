"""The admin site of the gateway: its look, the order of its screens, and what its pages may load."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

R = TypeVar("R", bound=HttpResponseBase)
V = TypeVar("V", bound=Callable[..., Any])

#: Scripts, styles and images are this site's own files; nothing inline, nothing of others, no frames.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: The screens in the order in which people need them, with what each is for.
SCREENS = {
    "Message": "What was accepted, where it stands, and what is to be done about it.",
    "SenderConfig": "Which mail goes out through which mailbox, and under which name.",
    "Mailbox": "What Microsoft limits, how much of it is used, and what stands still.",
    "AppRegistration": "The applications in Entra ID whose tokens send the mail.",
    "SmtpClient": "Applications and devices that may hand mail in.",
    "Worker": "Processes that deliver, and whether they are alive.",
    "User": "People who may log in.",
    "Group": "What people may do, by role.",
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

    def admin_view(self, view: V, cacheable: bool = False) -> V:
        inner = super().admin_view(view, cacheable)

        def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return _with_policy(inner(request, *args, **kwargs))

        return cast("V", protected)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return _with_policy(super().login(request, extra_context))

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


def _with_policy(response: R) -> R:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


site = GatewayAdminSite(name="admin")
