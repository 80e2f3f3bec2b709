"""The API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), served as openapi.json."""

from typing import Any

from mailrelay.vocabulary import State

ACTIONS = ("requeue", "hold", "release", "cancel")
TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
COUNT = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


MESSAGE = _object(
    {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "state": {"enum": [state.value for state in State]},
        "message_id": TEXT,
        "mail_from": TEXT,
        "header_from": TEXT,
        "subject": TEXT,
        "recipients": {"type": "array", "items": TEXT},
        "sender": TEXT,
        "size": COUNT,
        "created_at": TIME,
        "state_at": TIME,
    }
)
PAGE = _object({"messages": {"type": "array", "items": MESSAGE}, "next_before": {"type": ["string", "null"]}})
MOVED = _object({"moved": COUNT, "state": MESSAGE["properties"]["state"]})
ERROR = _object({"error": TEXT})


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _operation(name: str, summary: str, answer: dict[str, Any], parameters: list[Any], *, scope: str) -> Any:
    faults = {
        "400": "malformed",
        "401": "no valid token",
        "403": "scope",
        "404": "none such",
        "409": "cannot",
    }
    responses = {"200": ("done", answer), **{code: (text, ERROR) for code, text in faults.items()}}
    return {
        "operationId": name,
        "summary": f"{summary} Scope: {scope}.",
        "parameters": parameters,
        "responses": {
            code: {"description": text, "content": {"application/json": {"schema": schema}}}
            for code, (text, schema) in responses.items()
        },
    }


_ID = _parameter("id", "path", MESSAGE["properties"]["id"])
_LIST = [
    _parameter("state", "query", MESSAGE["properties"]["state"]),
    _parameter("before", "query", TIME),
    _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
]
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Mail gateway", "version": "1"},
    "servers": [{"url": "/api/v1"}],
    "security": [{"token": []}],
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/messages": {
            "get": _operation("listMessages", "Messages, newest first.", PAGE, _LIST, scope="read")
        },
        "/messages/{id}": {"get": _operation("getMessage", "One message.", MESSAGE, [_ID], scope="read")},
        "/messages/{id}/{action}": {
            "post": _operation(
                "actOnMessage",
                "Do what the console does.",
                MOVED,
                [_ID, _parameter("action", "path", {"enum": list(ACTIONS)})],
                scope="operate",
            )
        },
    },
}
