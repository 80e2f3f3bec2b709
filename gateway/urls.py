"""The web's addresses: the admin; health and metrics are served before Django (gateway.wsgi)."""

from django.urls import path
from django.views.generic import RedirectView

from mailrelay.console.screens import site

urlpatterns = [
    path("admin/", site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
