"""The addresses of the API, below /api/v1/."""

from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path

from mailrelay.api import access, messages, standing, submission, trial
from mailrelay.api.description import DESCRIPTION


def description(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(DESCRIPTION)


urlpatterns = [
    path("openapi.json", description, name="api_description"),
    path("messages", messages.listing),
    path("messages/<str:pk>", messages.message),
    path("messages/<str:pk>/<slug:name>", messages.action),
    path("queue", standing.queue),
    path("senders", standing.senders),
    path("submissions", submission.submission),
    path("tests", trial.trial),
    re_path("", access.nothing_here),
]
