"""Checks tokens of the API: scopes, pace, and each refusal as a problem document."""

import logging
import math
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from mailrelay.api.problems import ProblemError
from mailrelay.console.protection import client_address
from mailrelay.models import ApiToken, AuditEvent
from mailrelay.models.tokens import digest
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import OutboxError
from mailrelay.token_buckets import TokenBuckets
from mailrelay.vocabulary import Scope

log = logging.getLogger(__name__)

#: Seconds between two notes of a token's last use: a dashboard that asks each second must not write each.
NOTED = 60
#: Seconds after which to ask again when the database is away.
AWAY = "5"

View = Callable[..., HttpResponse]
_requests: TokenBuckets[int] = TokenBuckets()


def resource(**views: tuple[Scope, View]) -> View:
    """Make one view of `views`, each of a method with the scope that it takes; GET answers HEAD as well."""
    allowed = ", ".join(sorted({*views, *(["HEAD"] if "GET" in views else [])}))

    @csrf_exempt  # no cookie is looked at here
    def run(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        method = "GET" if request.method == "HEAD" else str(request.method)
        try:
            if method not in views:
                raise ProblemError(  # noqa: TRY301 - one place makes the answers
                    HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed}.", {"Allow": allowed}
                )
            scope, view = views[method]
            return view(request, authorised(request, scope), **kwargs)
        except ProblemError as problem:
            return problem.response()
        except (DatabaseError, OutboxError) as error:
            log.warning("the API could not answer: %s", type(error).__name__)
            return _away().response()

    return wraps(next(iter(views.values()))[1])(run) if len(views) == 1 else run


def _away() -> ProblemError:
    text = "The database cannot be used now; nothing was changed. Ask again in a moment."
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": AWAY})


def authorised(request: HttpRequest, scope: Scope) -> ApiToken:
    """Return the token of `request`. Raises ProblemError: not valid, too fast, or without `scope`."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    now = clock.now()
    row = ApiToken.objects.filter(digest=digest(given.strip()), active=True).first()
    if kind.lower() != "bearer" or row is None or (row.expires_at is not None and row.expires_at <= now):
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Send a valid token as Authorization: Bearer.",
            {"WWW-Authenticate": "Bearer"},
        )
    if wait := _requests.take(row.pk, row.requests_per_minute, row.requests_per_minute / 60.0):
        text = f"This token may ask {row.requests_per_minute} times a minute, in its row in the admin."
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, text, {"Retry-After": str(max(1, math.ceil(wait)))})
    if scope not in row.scopes.split():
        raise ProblemError(HTTPStatus.FORBIDDEN, f"This token lacks the scope {scope}.")
    if row.last_used_at is None or (now - row.last_used_at).total_seconds() > NOTED:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row


def record(request: HttpRequest, token: ApiToken, target: str, detail: str) -> str:
    """Put what a token does on the audit list; return the name that the timeline gets."""
    actor = f"token {token.name}"
    AuditEvent.objects.create(
        actor=actor, address=client_address(request), action="change api", target=target, detail=detail
    )
    return actor


@csrf_exempt
def nothing_here(_request: HttpRequest, **_: Any) -> HttpResponse:
    """Answer addresses that are none of the API's."""
    text = "There is nothing at this address; openapi.json has those that there are."
    return ProblemError(HTTPStatus.NOT_FOUND, text).response()
