"""The control API on the page port: JSON over plain http, for tests, demonstrations and benchmarks."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.copies import delivered_copy
from sandbox.world import merge

if TYPE_CHECKING:
    from sandbox.state import Sandbox
    from sandbox.store import Delivered

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")


class Control:
    """The operations; each answers JSON, and 400 with a sentence for what makes no sense."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/world", self.world),
            web.put("/control/world", self.change_world),
            web.patch("/control/world", self.change_world),
            web.get("/control/faults", self.list_faults),
            web.post("/control/faults", self.add_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/deliveries", self.deliveries),
            web.get(r"/control/deliveries/{number:\d+}/raw", self.raw),
            web.get(r"/control/deliveries/{number:\d+}/delivered", self.delivered),
            web.get("/control/inbox/{mailbox}", self.inbox),
            web.get("/control/stats", self.stats),
            web.post("/control/revoke", self.revoke),
            web.post("/control/reset", self.reset),
        ]

    async def world(self, _request: web.Request) -> web.Response:
        return web.json_response(self.sandbox.world.document())

    async def change_world(self, request: web.Request) -> web.Response:
        change = await _object(request)
        document = change if request.method == "PUT" else merge(self.sandbox.world.document(), change)
        try:
            self.sandbox.replace_world(document)
        except ValueError as error:
            return _bad(str(error))
        return await self.world(request)

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response([dataclasses.asdict(fault) for fault in self.sandbox.faults.queue])

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = self.sandbox.faults.add(await _object(request))
        except ValueError as error:
            return _bad(str(error))
        return web.json_response(dataclasses.asdict(fault), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self.sandbox.faults.clear()
        return web.Response(status=204)

    async def deliveries(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return _bad("after must be the number of a delivery")
        return web.json_response([mail.summary() for mail in self.sandbox.store.after(int(after))])

    async def raw(self, request: web.Request) -> web.Response:
        return _message(self._mail(request).raw)

    async def delivered(self, request: web.Request) -> web.Response:
        return _message(delivered_copy(self._mail(request)))

    async def inbox(self, request: web.Request) -> web.Response:
        mailbox = self.sandbox.world.owner(request.match_info["mailbox"])
        items = self.sandbox.store.find("inbox", mailbox.id) if mailbox else []
        return web.json_response(
            [{**item.resource(), "raw": item.raw.decode("utf-8", "replace")} for item in items]
        )

    async def stats(self, _request: web.Request) -> web.Response:
        sandbox, limiter = self.sandbox, self.sandbox.limiter
        names = {box.id: box.address for box in sandbox.world.mailboxes.values()}
        return web.json_response(
            {
                "requests": sandbox.stats.requests,
                "decisions": sandbox.stats.decisions,
                "statuses": sandbox.stats.statuses,
                "throttled": sandbox.stats.statuses["429"],
                "tokens_issued": sandbox.tokens.issued,
                "deliveries": len(sandbox.store.mails),
                "drafts": sandbox.store.open_drafts(),
                "in_flight": sum(limiter.in_flight.values()),
                "max_concurrency": {
                    f"{app} {names.get(mailbox, mailbox)}": most
                    for (app, mailbox), most in limiter.max_in_flight.items()
                },
            }
        )

    async def revoke(self, _request: web.Request) -> web.Response:
        self.sandbox.tokens.revoke_all()
        return web.Response(status=204)

    async def reset(self, _request: web.Request) -> web.Response:
        self.sandbox.reset()
        return web.Response(status=204)

    def _mail(self, request: web.Request) -> Delivered:
        mail = self.sandbox.store.mails.get(int(request.match_info["number"]))
        if mail is None:
            raise web.HTTPNotFound(text="No such delivery, or it has been dropped to make room.")
        return mail


@web.middleware
async def only_from_here(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse what a web site of a stranger could make a browser send: foreign names, foreign origins.

    A page on the internet can point its own name at 127.0.0.1 or post a form to it; the mail shown here and
    the control API are not for it. A numeric or local name in Host cannot be forged that way.
    """
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    allowed: tuple[str, ...] = request.app[ALLOWED_HOSTS]
    if host.lower() not in allowed:
        raise web.HTTPForbidden(text=f"This sandbox answers to {', '.join(allowed)} only.")
    origin = request.headers.get("Origin")
    if request.method != "GET" and origin and origin != f"http://{request.headers['Host']}":
        raise web.HTTPForbidden(text="Another site may not control this sandbox.")
    response: web.StreamResponse = await handler(request)
    return response


ALLOWED_HOSTS: web.AppKey[tuple[str, ...]] = web.AppKey("allowed_hosts")


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        data = json.loads(await request.read())
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise web.HTTPBadRequest(text='{"error": "the body must be a JSON object"}')
    return data


def _bad(sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=400)


def _message(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="application/octet-stream")
