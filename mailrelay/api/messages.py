"""Messages: the list with its filters, one of them with all that happened to it, and what can be done."""

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, JsonResponse

from mailrelay.api import access, reading
from mailrelay.api.problems import ProblemError, bad_request, not_found
from mailrelay.mime.headers import storable
from mailrelay.models import ApiToken, Delivery, Message, Recipient, SendLog, TimelineEntry
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.operators import actions, resend
from mailrelay.outbox.scheduling import scheduler
from mailrelay.status import workers
from mailrelay.status.deliveries import chosen, of_delivery
from mailrelay.status.record import Status
from mailrelay.vocabulary import MESSAGE_STATES, Scope, State

MOST, USUAL = 200, "50"
#: Attempts, moves and recipients that one answer has at most, the newest of the former.
SHOWN = 1000
#: Characters of a reason that are kept.
WHY = 300
FILTERS = ("state", "sender", "recipient", "from", "message_id", "client_address", "since", "until")


def listed(request: HttpRequest, _token: ApiToken) -> JsonResponse:
    """List messages, newest first; `cursor` is the `next_cursor` of the page before."""
    given = reading.query(request, (*FILTERS, "cursor", "limit"))
    limit = reading.number("limit", given.get("limit", USUAL), MOST)
    rows = _after(_filtered(given), given)
    page = _first(rows.select_related("sender").prefetch_related("recipients"), limit + 1)
    more = reading.cursor(page[limit - 1]) if len(page) > limit else None
    return JsonResponse({"messages": [_shown(row) for row in page[:limit]], "next_cursor": more})


def _first(rows: QuerySet[Message], most: int) -> list[Message]:
    """Read the first messages, `most` of them: one whose envelope names a recipient twice comes twice."""
    found: dict[Message, None] = {}
    read = 0
    while len(found) < most:
        part = rows[read : read + most]
        found.update(dict.fromkeys(part))
        read += most
        if len(part) < most:
            break
    return list(found)[:most]


def one(_request: HttpRequest, _token: ApiToken, pk: str) -> JsonResponse:
    return JsonResponse(_whole(_find(pk)))


def act(request: HttpRequest, token: ApiToken, pk: str, name: str) -> JsonResponse:
    """Do what the console's button does; safe to repeat, since what has moved is left as it is."""
    if name not in ACTIONS:
        raise not_found("There is no such action.")
    found = _find(pk)
    given = reading.document(request, {"why": str, **({"attempts": int} if name == "resend" else {})})
    why = " ".join(storable(given.get("why", "")).split())[:WHY]
    action = partial(_resend, given) if name == "resend" else actions.ACTIONS[name]
    actor = access.record(request, token, str(found.pk), f"{name} {why}".rstrip())
    try:
        moved = action(found.pk, actor, why=why)
    except ContentRemovedError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None
    scheduler.wake()
    return JsonResponse({"moved": moved, "state": _find(pk).state})


def _resend(given: dict[str, Any], pk: UUID, actor: str, *, why: str) -> int:
    if "attempts" not in given:
        raise bad_request(
            "Say how many attempts were on record when you decided to send it once more, as "
            '{"attempts": 1}: anyone who asks twice sends once.'
        )
    return resend.resend(pk, actor, given["attempts"], why)


ACTIONS = (*actions.ACTIONS, "resend")


def _filtered(given: dict[str, str]) -> QuerySet[Message]:
    rows = Message.objects.all()
    if (state := given.get("state")) is not None:
        if state not in MESSAGE_STATES:
            raise bad_request(f"state is one of {', '.join(MESSAGE_STATES)}.")
        rows = rows.filter(state=state)
    columns = {"sender": "sender__name", "client_address": "client_address"}
    keys = {"from": "from_key", "message_id": "message_id_key", "recipient": "recipients__address_key"}
    for name, column in (*columns.items(), *keys.items()):
        if (value := given.get(name)) is not None:
            rows = rows.filter(**{column: value.strip("<> ").lower() if name in keys else value})
    for name, lookup in (("since", "created_at__gte"), ("until", "created_at__lt")):
        if (value := given.get(name)) is not None:
            rows = rows.filter(**{lookup: reading.time(name, value)})
    return rows


def _after(rows: QuerySet[Message], given: dict[str, str]) -> QuerySet[Message]:
    """Order `rows` by an index that has them so, from the place that the cursor tells."""
    at, pk = reading.place(given["cursor"]) if "cursor" in given else (None, None)
    if "recipient" in given:
        # A queue id tells its time: the recipients' own index has them in this order.
        found = rows.filter(recipients__message_id__lt=pk) if pk else rows
        return found.order_by("-recipients__message_id")
    if at is not None:
        rows = rows.filter(Q(created_at__lte=at) & (Q(created_at__lt=at) | Q(pk__lt=pk)))
    return rows.order_by("-created_at", "-pk")


def _find(pk: str) -> Message:
    try:
        row = Message.objects.select_related("sender").filter(pk=UUID(pk)).first()
    except ValueError:
        row = None
    if row is None:
        raise not_found("There is no such message.")
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
        "client_address": row.client_address,
        "size": row.size,
        "created_at": row.created_at.isoformat(),
        "state_at": row.state_at.isoformat(),
    }


def _whole(row: Message) -> dict[str, Any]:
    deliveries = list(chosen(message=row)[:SHOWN])
    now = clock.now()
    queues = workers.served_queues(now)
    states = {delivery.pk: delivery.state for delivery in deliveries}
    removed = row.content_removed_at
    return {
        **_shown(row),
        "content_removed_at": removed.isoformat() if removed else None,
        "deliveries": [_delivery(delivery, of_delivery(delivery, now, queues)) for delivery in deliveries],
        "recipients": [_recipient(one, states) for one in row.recipients.order_by("pk")[:SHOWN]],
        "attempts": _oldest_first(_attempt(one) for one in row.attempts.order_by("-pk")[:SHOWN]),
        "timeline": _oldest_first(_entry(one) for one in row.timeline.order_by("-pk")[:SHOWN]),
    }


def _oldest_first(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(found)[::-1]


def _delivery(row: Delivery, status: Status) -> dict[str, Any]:
    due = row.next_attempt_at
    return {
        "state": row.state,
        "reason": row.reason,
        "mailbox": row.mailbox.address,
        "recipients": row.recipient_count,
        "next_attempt_at": due.isoformat() if due else None,
        "last_error": row.last_error,
        "status": {
            "sentence": status.sentence,
            "reason": status.reason,
            "todo": status.todo,
            "next_step": status.next_step,
            "next_at": status.next_at.isoformat() if status.next_at else None,
        },
    }


def _recipient(row: Recipient, states: dict[int, str]) -> dict[str, Any]:
    return {"address": row.address, "state": states.get(row.delivery_id or 0, State.FAILED)}


def _attempt(row: SendLog) -> dict[str, Any]:
    return {
        "number": row.number,
        "route": row.route,
        "started_at": row.started_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "outcome": row.outcome,
        "http_status": row.http_status,
        "graph_code": row.graph_code,
        "request_id": row.request_id,
        "duration_ms": row.duration_ms,
        "sentence": row.sentence,
        "advice": row.advice,
    }


def _entry(row: TimelineEntry) -> dict[str, Any]:
    return {"at": row.at.isoformat(), "actor": row.actor, "text": row.text}


listing = access.resource(GET=(Scope.READ, listed))
message = access.resource(GET=(Scope.READ, one))
action = access.resource(POST=(Scope.OPERATE, act))
