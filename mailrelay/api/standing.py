"""Answers for the queue in figures, and for each sender with what holds it up."""

from datetime import datetime
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, JsonResponse

from mailrelay.api import access, reading
from mailrelay.health import figures
from mailrelay.models import ApiToken, Delivery, SenderConfig
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.models.senders import secrets_of
from mailrelay.outbox.db import clock
from mailrelay.outbox.rules import limits
from mailrelay.status.senders import of_sender
from mailrelay.vocabulary import Scope


def figured(request: HttpRequest, _token: ApiToken) -> JsonResponse:
    """Give the figures that /metrics has of the queue."""
    reading.query(request, ())
    found = figures.gather()
    return JsonResponse(
        {
            "depth": found.depth,
            "oldest_queued_seconds": found.oldest_queued_age,
            "paused_mailboxes": found.paused_mailboxes,
            "blocked_mailboxes": found.blocked_mailboxes,
            "failing_registrations": found.failing_registrations,
            "workers": found.workers,
            "totals": found.totals,
        }
    )


def all_senders(request: HttpRequest, _token: ApiToken) -> JsonResponse:
    reading.query(request, ())
    rows = SenderConfig.objects.select_related("mailbox__registration").order_by("name")
    rows = rows.defer(*secrets_of("mailbox__registration"))
    counts = Delivery.objects.filter(IN_FLIGHT).order_by().values_list("mailbox")
    running = dict(counts.annotate(n=Count("pk")))
    now = clock.now()
    return JsonResponse({"senders": [_sender(row, running.get(row.mailbox_id, 0), now) for row in rows]})


def _sender(row: SenderConfig, running: int, now: datetime) -> dict[str, Any]:
    box = row.mailbox
    status = of_sender(row, now)
    paused = box.paused_until
    return {
        "name": row.name,
        "state": status.state,
        "text": status.reason,
        "default": row.is_default,
        "mailbox": box.address,
        "registration": box.registration.name,
        "addresses": sorted(row.address_list),
        "domains": sorted(row.domain_list),
        "from_policy": row.from_policy,
        "in_flight": running,
        "concurrency": box.concurrency,
        "messages_per_minute": box.messages_per_minute,
        "recipients_today": limits.recipients_today(box, now),
        "recipients_per_day": box.recipients_per_day,
        "paused_until": paused.isoformat() if paused and paused > now else None,
        "succeeded_at": box.succeeded_at.isoformat() if box.succeeded_at else None,
        "credential_ends": {proof: end.isoformat() for proof, end in box.registration.endings().items()},
    }


queue = access.resource(GET=(Scope.READ, figured))
senders = access.resource(GET=(Scope.READ, all_senders))
