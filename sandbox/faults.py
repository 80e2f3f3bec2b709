"""Faults to order: a queue of ways in which the next matching requests go wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.call import Answer, Call, Dropped, Refusal

if TYPE_CHECKING:
    from aiohttp import web

PLACES = ("token", "discovery", "imds", "sendMail", "messages", "upload", "send", "folders", "any")
BEFORE = (  # nothing is applied
    "status",  # status, code, message, json, body, retry_after
    "throttled",  # 429 ApplicationThrottled, retry_after
    "token_expired",  # 401 InvalidAuthenticationToken
    "claims_challenge",  # 401 with WWW-Authenticate claims=
    "proxy_page",  # HTML with status 200 (or `status`) and no request-id
    "redirect",  # 302 (or `status`) to `location`
    "silent_200",  # Graph's own headers, 200, nothing sent
    "aadsts",  # `code`: an AADSTS number
    "reset_before_body",
    "reset_mid_body",
    "hang",  # `seconds`, then a reset
)
AFTER = (  # the request is applied first
    "accept_then_status",  # 504 (or `status`), code, message, json, body, retry_after; 429, 503: see below
    "hang_after_accept",  # `seconds`, then a reset
    "reset_after_accept",
    "slow_response",  # `seconds`, then the true answer
    "close_after_answer",  # the true answer; `ms` later the kept-alive connection ends without notice
    "accept_with_retry_after",  # the true answer with `retry_after`
    "accept_with_proxy_page",  # applied, but a proxy answers with HTML and `status`
)
#: A service that is throttled or busy says so to every request, also to one that carries nothing to accept.
TO_ALL = (429, 503)
WITHIN = ("latency", "duplicate", "expire_session")  # milliseconds of `ms`; two copies from one request
KINDS = BEFORE + AFTER + WITHIN
PROXY_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Proxy sign-in page</body></html>"
STATUS_CODES = {
    429: ("TooManyRequests", "Please retry again later."),
    500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    502: ("BadGateway", "Bad gateway."),
    503: ("ErrorServerBusy", "The server cannot service this request right now. Try again later."),
    504: ("GatewayTimeout", "The server did not receive a timely response."),
}


@dataclass
class Fault:
    """One order. `times` None means for ever; `skip` lets that many matching requests pass first."""

    kind: str
    where: str = "any"
    mailbox: str | None = None
    app: str | None = None
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    code: str | int | None = None
    message: str | None = None
    json: bool = True
    body: str = ""
    retry_after: str | None = None
    seconds: float = 3600.0
    ms: float = 0.0
    location: str = "https://portal.invalid/"
    claims: str = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMCJ9fX0="

    def matches(self, call: Call) -> bool:
        address = call.mailbox.address if call.mailbox else call.params.get("user", "").lower()
        return (
            self.where in ("any", call.kind)
            and (self.mailbox is None or self.mailbox.lower() == address)
            and (self.app is None or self.app.lower() == call.app_id)
        )


class Faults:
    """The orders still open, oldest first. Taking them back also ends what waits on account of one."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []
        self.taken_back = 0

    def clear(self) -> None:
        self.queue.clear()
        self.taken_back += 1

    def add(self, order: dict[str, Any]) -> Fault:
        """Queue one; raises ValueError for an order that nothing could carry out."""
        known = {f.name for f in dataclasses.fields(Fault)}
        if unknown := set(order) - known:
            raise ValueError(
                f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
            )
        fault = Fault(**{"kind": "", **order})
        if fault.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if fault.where not in PLACES:
            raise ValueError(f"where must be one of {', '.join(PLACES)}")
        if fault.retry_after is not None:
            fault.retry_after = str(fault.retry_after)
        self.queue.append(fault)
        return fault

    def take(self, call: Call) -> tuple[Fault | None, float]:
        """The fault that befalls `call` and the seconds of latency that come on top."""
        if not self.queue:
            return None, 0.0
        chosen, latency = None, 0.0
        for fault in list(self.queue):
            if not fault.matches(call) or (chosen and fault.kind != "latency"):
                continue
            if fault.kind in AFTER and _carries_nothing(call) and not strikes_every_request(fault):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            self._use(fault)
            if fault.kind == "latency":
                latency += fault.ms / 1000
            else:
                chosen = fault
        return chosen, latency

    def _use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.queue.remove(fault)


def strikes_every_request(fault: Fault | None) -> bool:
    """Whether an answer in the place of the true one is also that of a request which is refused."""
    return fault is not None and fault.kind == "accept_then_status" and fault.status in TO_ALL


def _carries_nothing(call: Call) -> bool:
    """Whether a request asks to send what cannot be a message: it finds out how the mailbox stands."""
    return call.kind == "sendMail" and (call.request.content_length or 0) < 2


async def before(call: Call) -> Answer | None:
    """Carry out a fault that keeps the request from being applied; None lets it go on."""
    fault = call.fault
    if fault is None or fault.kind not in BEFORE:
        return None
    if fault.kind == "reset_before_body":
        raise Dropped("reset")
    if fault.kind == "reset_mid_body":
        await _read_half(call)
        raise Dropped("reset")
    await call.body(0)
    if fault.kind == "hang":
        call.record("hung", None, None)
        await linger(call, fault.seconds)
        raise Dropped("hung")
    return _canned(call, fault)


async def after(call: Call, answer: Answer) -> Answer:
    """Carry out a fault that befalls the answer of an applied request."""
    fault = call.fault
    if fault is None or fault.kind not in AFTER:
        return answer
    if fault.kind == "accept_then_status":
        return _status(call, fault, fault.status or 504)
    if fault.kind == "accept_with_proxy_page":
        return Answer(fault.status or 502, "faulted", PROXY_PAGE, "text/html")
    if fault.kind == "accept_with_retry_after":
        answer.headers["Retry-After"] = fault.retry_after or "30"
        return answer
    if fault.kind == "close_after_answer":
        _close_later(call.request, fault.ms / 1000)
        return answer
    if fault.kind != "reset_after_accept":
        await linger(call, fault.seconds)
    if fault.kind != "slow_response":
        raise Dropped("reset")
    return answer


def _canned(call: Call, fault: Fault) -> Answer:
    if fault.kind == "status":
        return _status(call, fault, fault.status or 503)
    if fault.kind == "throttled":
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        message = fault.message or "Application is over its MailboxConcurrency limit."
        return call.refused(Refusal(429, "ApplicationThrottled", message, headers))
    if fault.kind == "proxy_page":
        return Answer(fault.status or 200, "faulted", fault.body.encode() or PROXY_PAGE, "text/html")
    if fault.kind == "redirect":
        return Answer(fault.status or 302, "faulted", headers={"Location": fault.location})
    if fault.kind == "silent_200":
        return Answer(200, "ignored")
    if fault.kind == "aadsts":
        from sandbox.entra import refusal

        return refusal(call, int(fault.code or 7000215), fault.status, fault.retry_after)
    return call.refused(_unauthorised(fault))


def _unauthorised(fault: Fault) -> Refusal:
    if fault.kind == "claims_challenge":
        challenge = (
            'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{fault.claims}"'
        )
        message = "Continuous access evaluation resulted in challenge with result: InteractionRequired."
        return Refusal(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})
    message = "Access token has expired or is not yet valid."
    return Refusal(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm=""'})


def _status(call: Call, fault: Fault, status: int) -> Answer:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    code, message = STATUS_CODES.get(status, ("UnknownError", ""))
    code, message = str(fault.code or code), message if fault.message is None else fault.message
    if not fault.json:
        return Answer(status, "faulted", fault.body.encode(), "text/html", headers)
    body = call.error_body(code, message)
    if code == "TooManyRequests":
        body = _too_many(body, status)
    return Answer(status, "faulted", body, headers=headers, code=code)


def _too_many(body: bytes, status: int) -> bytes:
    """The throttling page of Graph shows this one code with a fuller innerError."""
    data = json.loads(body)
    data["error"]["innerError"] |= {
        "code": str(status),
        "status": str(status),
        "message": "Please retry after",
    }
    return json.dumps(data).encode()


async def _read_half(call: Call) -> None:
    seen, half = 0, (call.request.content_length or 0) // 2
    while block := await call.request.content.readany():
        seen += len(block)
        if seen >= half:
            return


async def linger(call: Call, seconds: float) -> None:
    """Wait `seconds`, or until the client has gone, or until the faults are taken back."""
    deadline, faults, request = time.monotonic() + seconds, call.sandbox.faults, call.request
    before = faults.taken_back
    while (left := deadline - time.monotonic()) > 0:
        if request.transport is None or request.transport.is_closing() or faults.taken_back != before:
            return
        await asyncio.sleep(min(left, 0.02))


def _close_later(request: web.BaseRequest, seconds: float) -> None:
    transport = request.transport
    if transport is not None:
        asyncio.get_running_loop().call_later(seconds or 0.05, transport.close)


def reset(request: web.BaseRequest) -> None:
    """Close the connection so that the peer sees a reset, not an orderly end."""
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
