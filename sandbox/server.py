"""The https sites: which request is which operation, and the frame around every one of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError

from sandbox import drafts, entra, faults, folders, graph_api, signin, uploads
from sandbox.call import Answer, Call, Dropped, Refusal
from sandbox.permissions import READ, READ_WHOLE, SEND, WRITE
from sandbox.sendmail import send_mail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.state import Sandbox

    Operation = Callable[[Call], Awaitable[Answer]]

# What reading a body raises when the connection is lost before its end.
CLIENT_HAS_GONE = (ConnectionError, PayloadEncodingError, web.RequestPayloadError)
USER = r"/v1\.0/users(?:/(?P<user>[^/()]+)|\('(?P<user2>[^']+)'\))"


@dataclass(frozen=True)
class Route:
    """`kind` is the name in the ledger and of the faults; `need` any one of these roles, for Graph alone."""

    method: str
    path: re.Pattern[str]
    kind: str
    operation: Operation
    need: frozenset[str] | None = None


def route(
    method: str, path: str, kind: str, operation: Operation, need: frozenset[str] | None = None
) -> Route:
    return Route(method, re.compile(path + r"/?\Z", re.IGNORECASE), kind, operation, need)


MESSAGE = USER + r"/messages/(?P<message>[^/]+)"
FOLDER = USER + r"/mailFolders(?:/(?P<folder>\w+)|\('(?P<folder2>\w+)'\))/messages"
SESSION = r"/api/v2\.0/Users\('[^']+'\)/Messages\('[^']+'\)/AttachmentSessions\('(?P<session>\w+)'\)"
GRAPH = [
    route("POST", USER + r"/(?:microsoft\.graph\.)?sendMail", "sendMail", send_mail, SEND),
    route("POST", USER + r"/messages", "messages", drafts.create, WRITE),
    route("GET", USER + r"/messages", "folders", folders.list_folder, READ),
    route("GET", MESSAGE, "messages", drafts.read, READ),
    route("GET", MESSAGE + r"/\$value", "folders", folders.source, READ_WHOLE),
    route("PATCH", MESSAGE, "messages", drafts.change, WRITE),
    route("DELETE", MESSAGE, "messages", drafts.delete, WRITE),
    route("POST", MESSAGE + r"/(?:microsoft\.graph\.)?send", "send", drafts.send_draft, SEND),
    route("POST", MESSAGE + r"/attachments", "messages", drafts.add_attachment, WRITE),
    route("GET", MESSAGE + r"/attachments", "messages", drafts.list_attachments, READ),
    route("POST", MESSAGE + r"/attachments/createUploadSession", "messages", uploads.create_session, WRITE),
    route("GET", FOLDER, "folders", folders.list_folder, READ),
]
UPLOAD = [
    route("PUT", SESSION, "upload", uploads.put_range),
    route("GET", SESSION, "upload", uploads.progress),
    route("DELETE", SESSION, "upload", uploads.cancel),
]
ENTRA = [
    route("GET", r"/(?P<tenant>[^/]+)/oauth2/v2\.0/authorize", "discovery", signin.authorise),
    route("POST", r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token", "token", entra.token),
    route(
        "GET",
        r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration",
        "discovery",
        entra.openid_configuration,
    ),
    route("GET", r"/common/discovery/instance", "discovery", entra.instance_discovery),
    route("GET", r"/(?P<tenant>[^/]+)/discovery/v2\.0/keys", "discovery", entra.keys),
    route("GET", r"/metadata/identity/oauth2/token", "imds", entra.managed_identity),
]
ENTRA_KINDS = frozenset(entry.kind for entry in ENTRA)


async def _nothing(call: Call) -> Answer:
    raise Refusal(404, "BadRequest", f"Resource not found for the segment '{call.request.path}'.")


NOTHING = route("*", "", "other", _nothing)


class Site:
    """One origin: a table of routes served over the shared state."""

    def __init__(self, sandbox: Sandbox, routes: list[Route]) -> None:
        self.sandbox, self.routes = sandbox, routes

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        candidate, params = self._find(request)
        call = Call(self.sandbox, request, candidate.kind, params, self.sandbox.ledger.next_request())
        try:
            return _response(call, await self._answer(call, candidate))
        except Dropped as dropped:
            call.record(dropped.decision, None, None)
            faults.reset(request)
            return web.Response(status=500)
        except CLIENT_HAS_GONE:
            call.record("aborted", None, None)
            return web.Response(status=500)
        finally:
            for leave in call.leaving:
                leave()

    def _find(self, request: web.BaseRequest) -> tuple[Route, dict[str, str]]:
        for candidate in self.routes:
            if candidate.method == request.method and (found := candidate.path.match(request.path)):
                params = {name.removesuffix("2"): text for name, text in found.groupdict().items() if text}
                return candidate, params
        return NOTHING, {}

    async def _answer(self, call: Call, candidate: Route) -> Answer:
        try:
            answer = await self._decide(call, candidate)
        except Refusal as refusal:
            answer = call.refused(refusal)
            call.record(answer.decision, answer.status, answer.code)
            await call.drain()
            return await faults.after(call, answer) if faults.strikes_every_request(call.fault) else answer
        call.record(answer.decision, answer.status, answer.code)
        return await faults.after(call, answer)

    async def _decide(self, call: Call, candidate: Route) -> Answer:
        if "user" in call.params:
            graph_api.identify(call)
        elif "session" in call.params:
            uploads.identify(call)
        call.fault, latency = self.sandbox.faults.take(call)
        canned = await faults.before(call)
        if canned is not None:
            return canned
        if candidate.need is not None:
            graph_api.admit(call, candidate.need)
        if candidate.kind not in ENTRA_KINDS:
            latency += self.sandbox.world.behaviour.latency_ms / 1000
        if latency:
            await asyncio.sleep(latency)
        return await candidate.operation(call)


def _response(call: Call, answer: Answer) -> web.Response:
    headers = answer.headers
    if answer.decision != "faulted" or answer.code is not None:
        headers = {**call.standard_headers(), **headers}
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if answer.body:
        response.headers["Content-Type"] = answer.content_type
    else:
        response.headers.pop("Content-Type", None)
    return response
