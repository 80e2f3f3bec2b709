"""The web's addresses: the admin and the API; health and metrics are served before Django (gateway.wsgi)."""

from django.urls import include, path
from django.views.generic import RedirectView

from mailrelay.api import urls as api
from mailrelay.console.screens import site

urlpatterns = [
    path("admin/", site.urls),
    path("api/v1/", include(api.urlpatterns)),
    path("", RedirectView.as_view(url="/admin/")),
]
