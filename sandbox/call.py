"""One request on its way through the sandbox, and the answers that it can get."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from sandbox.faults import Fault
    from sandbox.state import Sandbox
    from sandbox.world import App, Mailbox

DRAIN_LIMIT = 64 * 1024 * 1024  # bytes of a refused body that are read before the connection is given up
DIAGNOSTIC = json.dumps(
    {"ServerInfo": {"DataCenter": "Sandbox", "Slice": "E", "Ring": "1", "ScaleUnit": "000"}}
)


@dataclass(slots=True)
class Answer:
    """What goes back. `decision` is the ledger's word: applied, refused, ignored, read, issued, faulted."""

    status: int
    decision: str
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None


class Refusal(Exception):  # noqa: N818 -- an answer of the service, not an error of the program
    """Graph's "no": an HTTP status with an error code and message (facts of the error table)."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


class Dropped(Exception):  # noqa: N818 -- likewise
    """The connection is reset and no answer is given; `decision` goes into the ledger."""

    def __init__(self, decision: str) -> None:
        super().__init__(decision)
        self.decision = decision


@dataclass(slots=True)
class Call:
    """A request with what has been found out about it so far."""

    sandbox: Sandbox
    request: web.BaseRequest
    kind: str
    params: dict[str, str]
    number: int
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    app_id: str | None = None
    app: App | None = None
    roles: frozenset[str] = frozenset()
    mailbox: Mailbox | None = None
    fault: Fault | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    leaving: list[Callable[[], None]] = field(default_factory=list)
    recorded: bool = False

    @property
    def client_request_id(self) -> str | None:
        return self.request.headers.get("client-request-id")

    def has_fault(self, kind: str) -> bool:
        return self.fault is not None and self.fault.kind == kind

    def record(self, decision: str, status: int | None, code: str | None) -> None:
        """Write the decision to the ledger, once, at the moment when it falls."""
        if self.recorded:
            return
        self.recorded = True
        request = self.request
        self.sandbox.stats.decided(self.kind, decision, status)
        self.sandbox.ledger.write(
            {
                "seq": self.number,
                "time": datetime.now(UTC).isoformat(),
                "kind": self.kind,
                "method": request.method,
                "path": request.path,
                "app": self.app_id,
                "mailbox": self.mailbox.address if self.mailbox else self.params.get("user"),
                "decision": decision,
                "status": status,
                "code": code,
                "fault": self.fault.kind if self.fault else None,
                "client_request_id": self.client_request_id,
                "request_id": self.request_id,
                "last_delivery": self.sandbox.ledger.deliveries,
                **self.facts,
            }
        )

    def error_body(self, code: str, message: str) -> bytes:
        """Graph's error resource; `innerError` is spelt as real responses spell it."""
        inner = {
            "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()),
            "request-id": self.request_id,
            "client-request-id": self.client_request_id or self.request_id,
        }
        return json.dumps({"error": {"code": code, "message": message, "innerError": inner}}).encode()

    def refused(self, refusal: Refusal) -> Answer:
        body = self.error_body(refusal.code, refusal.message)
        return Answer(refusal.status, "refused", body, headers=refusal.headers, code=refusal.code)

    def standard_headers(self) -> dict[str, str]:
        return {
            "request-id": self.request_id,
            "client-request-id": self.client_request_id or self.request_id,
            "x-ms-ags-diagnostic": DIAGNOSTIC,
        }

    async def body(self, limit: int) -> bytes | None:
        """The whole request body, or None (after reading it to its end) when it exceeds `limit` bytes."""
        blocks, size, content = [], 0, self.request.content
        while block := await content.readany():
            size += len(block)
            if not limit or size <= limit:
                blocks.append(block)
            elif size > DRAIN_LIMIT:
                raise Dropped("reset")
        self.facts["request_bytes"] = size
        return None if limit and size > limit else b"".join(blocks)

    async def drain(self) -> None:
        """Read what is left of the body, so that the client gets to read the answer."""
        size, content = 0, self.request.content
        while block := await content.readany():
            size += len(block)
            if size > DRAIN_LIMIT:
                raise Dropped("reset")

    async def json(self, limit: int) -> dict[str, Any]:
        """The body as a JSON object; raises Refusal as Graph does for one that is none."""
        raw = await self.body(limit)
        if raw is None:
            raise too_large(self)
        try:
            data = json.loads(raw or b"{}")
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise Refusal(400, "RequestBodyRead", "The request body is not a JSON object.")
        return data


def too_large(call: Call) -> Refusal:
    status = call.sandbox.world.behaviour.oversize_status
    code = "RequestEntityTooLarge" if status == 413 else "BadRequest"
    return Refusal(status, code, "The maximum request length supported is 4MB.")


def ok(
    data: object, status: int = 200, decision: str = "read", headers: dict[str, str] | None = None
) -> Answer:
    return Answer(status, decision, json.dumps(data).encode(), headers=headers or {})
