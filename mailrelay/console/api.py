"""The JSON API for scripts and dashboards: read messages and their states, act on them, by tokens."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils.dateparse import parse_datetime
from django.views.decorators.csrf import csrf_exempt

from mailrelay.console.api_description import DESCRIPTION
from mailrelay.console.api_tokens import OPERATE, READ, digest
from mailrelay.console.protection import client_address
from mailrelay.models import ApiToken, AuditEvent, Message
from mailrelay.outbox import clock, hand, scheduler
from mailrelay.outbox.errors import OutboxError
from mailrelay.vocabulary import State

MOST = 200
View = Callable[..., JsonResponse]


class RefusedError(Exception):
    """A request that gets a status and a sentence instead of an answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def endpoint(method: str, scope: str) -> Callable[[View], View]:
    """Let a view answer to `method` with a token of `scope`; every refusal is JSON with a sentence."""

    def decorate(view: View) -> View:
        @csrf_exempt  # no cookie is looked at here
        @wraps(view)
        def run(request: HttpRequest, **kwargs: Any) -> JsonResponse:
            try:
                _refuse_other(request, method)
                return view(request, _token(request, scope), **kwargs)
            except RefusedError as refused:
                answer = JsonResponse({"error": str(refused)}, status=refused.status)
            if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                answer.headers["Allow"] = method
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                answer.headers["WWW-Authenticate"] = "Bearer"
            return answer

        return run

    return decorate


def _refuse_other(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {method}.")


def _token(request: HttpRequest, scope: str) -> ApiToken:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    row = ApiToken.objects.filter(digest=digest(given.strip()), active=True).first()
    if kind.lower() != "bearer" or row is None:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "Send a token as Authorization: Bearer.")
    if scope not in row.scopes.split():
        raise RefusedError(HTTPStatus.FORBIDDEN, f"This token lacks the scope {scope}.")
    now = clock.now()
    if row.last_used_at is None or (now - row.last_used_at).total_seconds() > 60:
        # Once a minute: a dashboard that asks each second must not write each second.
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row


@endpoint("GET", READ)
def messages(request: HttpRequest, _token: ApiToken) -> JsonResponse:
    """List messages, newest first; `before` is the `next_before` of the page before."""
    rows = Message.objects.select_related("sender").prefetch_related("recipients").order_by("-created_at")
    if state := request.GET.get("state"):
        if state not in set(State):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "state is none of the states of a message.")
        rows = rows.filter(state=state)
    if text := request.GET.get("before"):
        rows = rows.filter(created_at__lt=_time(text))
    limit = _limit(request.GET.get("limit", "50"))
    found = list(rows[:limit])
    more = found[-1].created_at.isoformat() if len(found) == limit else None
    return JsonResponse({"messages": [_shown(row) for row in found], "next_before": more})


@endpoint("GET", READ)
def message(_request: HttpRequest, _token: ApiToken, pk: str) -> JsonResponse:
    return JsonResponse(_shown(_find(pk)))


@endpoint("POST", OPERATE)
def act(request: HttpRequest, token: ApiToken, pk: str, name: str) -> JsonResponse:
    """Do what the console's button does; safe to repeat, since what has moved is left as it is."""
    action = hand.ACTIONS.get(name)
    if action is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such action.")
    found = _find(pk)
    actor = f"token {token.name}"
    AuditEvent.objects.create(
        actor=actor, address=client_address(request), action="change api", target=str(found.pk), detail=name
    )
    try:
        moved = action(found.pk, actor)
    except OutboxError as error:
        raise RefusedError(HTTPStatus.CONFLICT, str(error)) from None
    scheduler.poke()
    return JsonResponse({"moved": moved, "state": _find(pk).state})


def description(_request: HttpRequest) -> JsonResponse:
    return JsonResponse(DESCRIPTION)


def _find(pk: str) -> Message:
    try:
        row = Message.objects.select_related("sender").filter(pk=UUID(pk)).first()
    except ValueError:
        row = None
    if row is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such message.")
    return row


def _shown(row: Message) -> dict[str, Any]:
    return {
        "id": row.queue_id,
        "state": row.state,
        "message_id": row.message_id,
        "mail_from": row.mail_from,
        "header_from": row.header_from,
        "subject": row.subject,
        "recipients": [recipient.address for recipient in row.recipients.all()],
        "sender": row.sender.name,
        "size": row.size,
        "created_at": row.created_at.isoformat(),
        "state_at": row.state_at.isoformat(),
    }


def _time(text: str) -> datetime:
    # A plus sign that was not quoted in the address arrives as a blank.
    try:
        found = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "before is no time such as 2027-03-31T12:00:00+00:00.")
    return found


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"limit is a number from 1 to {MOST}.")
    return int(text)


urlpatterns = [
    path("openapi.json", description, name="api_description"),
    path("messages", messages),
    path("messages/<str:pk>", message),
    path("messages/<str:pk>/<slug:name>", act),
]
