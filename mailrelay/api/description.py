"""The API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), served as openapi.json."""

from http import HTTPStatus
from typing import Any

from mailrelay.api import schemas
from mailrelay.api.problems import PROBLEM
from mailrelay.parsing import IDEMPOTENCY_KEY
from mailrelay.vocabulary import Scope

ACTIONS = ("requeue", "hold", "release", "cancel", "resend")
#: What every operation may answer.
ALWAYS = (401, 403, 429, 503)
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}}
_TEXT = {"type": "string"}
_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def _parameter(name: str, where: str, schema: dict[str, Any], text: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        **({"description": text} if text else {}),
    }


def _answer(status: HTTPStatus, schema: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": status.phrase,
        "content": {"application/json": {"schema": schema}},
        **({"headers": headers} if headers else {}),
    }


def _refusal(code: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(code).phrase,
        "content": {PROBLEM: {"schema": _PROBLEM}},
        **({"headers": RETRY_AFTER} if code == HTTPStatus.TOO_MANY_REQUESTS else {}),
    }


def _operation(
    name: str,
    summary: str,
    answer: dict[str, Any],
    scope: Scope,
    *,
    parameters: tuple[dict[str, Any], ...] = (),
    refusals: tuple[int, ...] = (400,),
    body: dict[str, Any] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
    headers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    done = {str(status.value): _answer(status, answer, headers or {})}
    return {
        "operationId": name,
        "summary": f"{summary} Scope: {scope}.",
        "parameters": list(parameters),
        "responses": done | {str(code): _refusal(code) for code in sorted({*ALWAYS, *refusals})},
        **({"requestBody": body} if body else {}),
    }


def _body(kind: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {kind: {"schema": schema}}}


_ID = _parameter("id", "path", schemas.QUEUE_ID, "The queue id")
_LIST = (
    _parameter("state", "query", schemas.MESSAGE_STATE, "What is in flight counts as queued"),
    _parameter("sender", "query", _TEXT, "A sender's name"),
    _parameter("recipient", "query", _TEXT, "An address, exactly"),
    _parameter("from", "query", _TEXT, "The From address, exactly"),
    _parameter("message_id", "query", _TEXT, "The Message-ID, with or without angle brackets"),
    _parameter("client_address", "query", _TEXT, "The IP address that handed it in"),
    _parameter("since", "query", schemas.TIME, "Accepted at or after"),
    _parameter("until", "query", schemas.TIME, "Accepted before"),
    _parameter("cursor", "query", _TEXT, "next_cursor of the page before"),
    _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
)
_ENVELOPE = (
    _parameter("from", "query", _TEXT, "Envelope sender; else X-Envelope-From, Sender or From"),
    _parameter(
        "to",
        "query",
        {"type": "array", "items": _TEXT},
        "Envelope recipients, each once or with commas between them; else X-Envelope-To, or To, Cc and Bcc",
    ),
    _parameter("Idempotency-Key", "header", {**_TEXT, "pattern": IDEMPOTENCY_KEY}),
)
_LOCATION = {"Location": {"description": "Address of the message", "schema": _TEXT}}
_TAKEN: dict[str, Any] = {"status": HTTPStatus.ACCEPTED, "headers": _LOCATION}
_REPLAYED = {"Idempotent-Replayed": {"description": "The key was taken before", "schema": _TEXT}}


def _action(name: str) -> dict[str, Any]:
    resend = name == "resend"
    summary = (
        "Send once more what was sent; `attempts` is how many were on record when that was decided."
        if resend
        else f"{name.capitalize()} a message, as the console does."
    )
    return {
        "post": _operation(
            f"{name}Message",
            summary,
            schemas.MOVED,
            Scope.OPERATE,
            parameters=(_ID,),
            refusals=(400, 404, 409, 415),
            body=_body("application/json", schemas.RESEND if resend else schemas.WHY, required=resend),
        )
    }


PATHS: dict[str, Any] = {
    "/messages": {
        "get": _operation(
            "listMessages", "Messages, newest first.", schemas.PAGE, Scope.READ, parameters=_LIST
        )
    },
    "/messages/{id}": {
        "get": _operation(
            "getMessage",
            "One message with its attempts and its timeline.",
            schemas.WHOLE,
            Scope.READ,
            parameters=(_ID,),
            refusals=(404,),
        )
    },
    **{f"/messages/{{id}}/{name}": _action(name) for name in ACTIONS},
    "/queue": {"get": _operation("getQueue", "The queue in figures.", schemas.FIGURES, Scope.READ)},
    "/senders": {
        "get": _operation("listSenders", "Senders, and what holds them up.", schemas.SENDERS, Scope.READ)
    },
    "/submissions": {
        "post": _operation(
            "submitMessage",
            "Hand in a message; the answer follows its storage.",
            schemas.QUEUED,
            Scope.SUBMIT,
            parameters=_ENVELOPE,
            refusals=(400, 411, 413, 415, 422),
            body=_body("message/rfc822", {"type": "string", "contentMediaType": "message/rfc822"}),
            status=HTTPStatus.ACCEPTED,
            headers=_LOCATION | _REPLAYED,
        )
    },
    "/tests": {
        "post": _operation(
            "sendTest",
            "Send a test mail; its message tells the outcome.",
            schemas.QUEUED,
            Scope.TEST,
            refusals=(400, 409, 413, 415, 422),
            body=_body("application/json", schemas.TRIAL),
            **_TAKEN,
        )
    },
}
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Mail gateway",
        "version": "1",
        "description": "Refusals are problem documents (RFC 9457).",
    },
    "servers": [{"url": "/api/v1"}],
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {"Problem": schemas.PROBLEM},
    },
    "paths": PATHS,
}
