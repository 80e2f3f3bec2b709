"""The admin site of the gateway: its look, the order of its screens, and what its pages may load."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase

R = TypeVar("R", bound=HttpResponseBase)
V = TypeVar("V", bound=Callable[..., Any])

#: Scripts, styles and images are this site's own files; nothing inline, nothing of others, no frames.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: The screens in the order in which people need them, under the heading of each group.
GROUPS = (
    ("Mail", ("Message",)),
    ("Sending", ("SenderConfig", "Mailbox", "AppRegistration")),
    ("Receiving", ("SmtpClient",)),
    ("Running", ("Worker",)),
    ("People", ("User", "Group")),
)


class GatewayAdminSite(AdminSite):
    site_header = "Mail gateway"
    site_title = "Mail gateway"
    index_title = "Mail gateway"
    # The way from the admin to the "site" would lead to the admin.
    site_url = None
    empty_value_display = "–"

    def admin_view(self, view: V, cacheable: bool = False) -> V:
        inner = super().admin_view(view, cacheable)

        def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return _with_policy(inner(request, *args, **kwargs))

        return cast("V", protected)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return _with_policy(super().login(request, extra_context))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Group the screens by what people do with them rather than by Django application."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        applications = super().get_app_list(request)
        screens = {model["object_name"]: model for app in applications for model in app["models"]}
        groups = (
            (title, [screens.pop(name) for name in names if name in screens]) for title, names in GROUPS
        )
        return [
            _group(title, models) for title, models in (*groups, ("More", list(screens.values()))) if models
        ]


def _group(title: str, models: list[Any]) -> dict[str, Any]:
    """Make what Django's templates take for an application."""
    first = models[0]["admin_url"] or ""
    return {
        "name": title,
        "app_label": title.lower(),
        "app_url": first,
        "has_module_perms": True,
        "models": models,
    }


def _with_policy(response: R) -> R:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


site = GatewayAdminSite(name="admin")
