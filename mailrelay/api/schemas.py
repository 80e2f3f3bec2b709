"""Describes the API's documents in JSON Schema, as OpenAPI 3.1 has it."""

from typing import Any

from mailrelay.outbox.db import counters
from mailrelay.vocabulary import MESSAGE_STATES, OPEN_STATES, FromPolicy, Outcome, Reason, Route, State

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
COUNT = {"type": "integer", "minimum": 0}
MAYBE_COUNT = {"type": ["integer", "null"], "minimum": 0}
QUEUE_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
STATE = {"type": "string", "enum": [state.value for state in State]}
MESSAGE_STATE = {"type": "string", "enum": [state.value for state in MESSAGE_STATES]}
TEXTS = {"type": "array", "items": TEXT}


def record(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def listing(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def words(values: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": values}


_MESSAGE: dict[str, Any] = {
    "id": QUEUE_ID,
    "state": STATE,
    "message_id": TEXT,
    "mail_from": TEXT,
    "header_from": TEXT,
    "subject": TEXT,
    "recipients": TEXTS,
    "sender": TEXT,
    "client_address": TEXT,
    "size": COUNT,
    "created_at": TIME,
    "state_at": TIME,
}
MESSAGE = record(_MESSAGE)
PAGE = record({"messages": listing(MESSAGE), "next_cursor": {"type": ["string", "null"]}})
DELIVERY = record(
    {
        "state": STATE,
        "reason": words([reason.value for reason in Reason]),
        "mailbox": TEXT,
        "recipients": COUNT,
        "next_attempt_at": MAYBE_TIME,
        "last_error": TEXT,
        "status": record(
            {"sentence": TEXT, "reason": TEXT, "todo": TEXT, "next_step": TEXT, "next_at": MAYBE_TIME}
        ),
    }
)
ATTEMPT = record(
    {
        "number": COUNT,
        "route": words([route.value for route in Route]),
        "started_at": TIME,
        "finished_at": MAYBE_TIME,
        "outcome": words(["", *(outcome.value for outcome in Outcome)]),
        "http_status": MAYBE_COUNT,
        "graph_code": TEXT,
        "request_id": TEXT,
        "duration_ms": MAYBE_COUNT,
        "sentence": TEXT,
        "advice": TEXT,
    }
)
WHOLE = record(
    {
        **_MESSAGE,
        "recipients": listing(record({"address": TEXT, "state": STATE})),
        "content_removed_at": MAYBE_TIME,
        "deliveries": listing(DELIVERY),
        "attempts": listing(ATTEMPT),
        "timeline": listing(record({"at": TIME, "actor": TEXT, "text": TEXT})),
    }
)
MOVED = record({"moved": COUNT, "state": STATE})
QUEUED = record({"id": QUEUE_ID})
FIGURES = record(
    {
        "depth": record({state.value: COUNT for state in OPEN_STATES}),
        "oldest_queued_seconds": {"type": "number", "minimum": 0},
        "paused_mailboxes": COUNT,
        "blocked_mailboxes": COUNT,
        "failing_registrations": COUNT,
        "workers": COUNT,
        "totals": record(dict.fromkeys(counters.ALL, COUNT)),
    }
)
SENDER = record(
    {
        "name": TEXT,
        "state": words(
            ["open", "paused", "paused_by_hand", "held", "no_token", "registration_off", "off"],
        ),
        "text": TEXT,
        "default": {"type": "boolean"},
        "mailbox": TEXT,
        "registration": TEXT,
        "addresses": TEXTS,
        "domains": TEXTS,
        "from_policy": words([policy.value for policy in FromPolicy]),
        "in_flight": COUNT,
        "concurrency": COUNT,
        "messages_per_minute": COUNT,
        "recipients_today": COUNT,
        "recipients_per_day": COUNT,
        "paused_until": MAYBE_TIME,
        "succeeded_at": MAYBE_TIME,
        "credential_ends": {"type": "object", "additionalProperties": TIME},
    }
)
SENDERS = record({"senders": listing(SENDER)})
WHY = record({"why": TEXT}, required=[])
RESEND = record({"attempts": COUNT, "why": TEXT}, required=["attempts"])
TRIAL = record({"to": {**TEXT, "minLength": 1}, "sender": TEXT}, required=["to"])
#: RFC 9457; the last three come with what the rules of SMTP refuse.
PROBLEM = record(
    {
        "type": TEXT,
        "title": TEXT,
        "status": COUNT,
        "detail": TEXT,
        "enhanced_status": {"type": "string", "pattern": r"^[245]\.\d{1,3}\.\d{1,3}$"},
        "smtp_code": {"type": "integer", "minimum": 400, "maximum": 599},
        "rule": TEXT,
    },
    required=["type", "title", "status", "detail"],
)
