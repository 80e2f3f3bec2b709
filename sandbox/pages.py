"""The pages for people: what was delivered, to whom, and what is in it. No script, nothing from elsewhere."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from sandbox.copies import delivered_copy
from sandbox.layout import STYLE, Markup, page, size_of, table, tag
from sandbox.reading import Reading, read

if TYPE_CHECKING:
    from sandbox.state import Sandbox
    from sandbox.store import Delivered, Item

PER_PAGE = 50
REFRESH = 5  # seconds
COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OURS = {
    **COMMON,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
}
# A stranger's HTML: no script, no network, and an origin of its own even when opened in a tab.
THEIRS = {
    **COMMON,
    "Content-Security-Policy": "default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'; sandbox; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
}
KINDS = {"to": "To", "cc": "Cc", "bcc": "Bcc"}


class Pages:
    """Server-rendered from the store; a mail is parsed in a thread, as it may be large."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        mail = r"/mails/{number:\d+}"
        return [
            web.get("/", self.index),
            web.get("/reports", self.reports),
            web.get(mail, self.mail),
            web.get(mail + "/html", self.html),
            web.get(mail + r"/attachments/{index:\d+}", self.attachment),
            web.get(mail + "/submitted", self.submitted),
            web.get(mail + "/delivered", self.delivered),
            web.get("/style.css", self.style),
        ]

    async def style(self, _request: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css", headers=COMMON)

    async def index(self, request: web.Request) -> web.Response:
        before = request.query.get("before", "")
        limit = int(before) if before.isdecimal() else None
        mails = [m for m in reversed(self.sandbox.store.mails.values()) if limit is None or m.number < limit]
        shown = mails[:PER_PAGE]
        body: Markup = tag("ul", *map(_line, shown), class_="card mails") if shown else self._empty()
        older = f"/?before={shown[-1].number}" if len(mails) > PER_PAGE else ""
        content = [self._heading(), body, _pager(newest=limit is not None, older=older), self._footer()]
        return _html(page("Sandbox: delivered mail", *content, refresh=0 if limit else REFRESH))

    def _heading(self) -> Markup:
        store = self.sandbox.store
        reports = sum(map(len, store.inbox.values()))
        counts = f"{len(store.mails)} kept, {size_of(store.bytes)}"
        link = tag("a", f"Non-delivery reports: {reports}", href="/reports") if reports else Markup()
        return tag("div", tag("h1", "Delivered mail"), link, tag("span", counts, class_="soft"), class_="bar")

    def _empty(self) -> Markup:
        text = f"No mail yet. Graph listens at {self.sandbox.base_url}; this page reloads by itself."
        return tag("div", text, class_="card empty")

    def _footer(self) -> Markup:
        sandbox = self.sandbox
        text = f"Entra and Graph: {sandbox.base_url} · trust {sandbox.certificates.ca_file.absolute()} · "
        return tag("footer", text, "decisions: ", str(sandbox.ledger.path.absolute()))

    async def reports(self, _request: web.Request) -> web.Response:
        boxes = self.sandbox.store.inbox.values()
        items = sorted((item for box in boxes for item in box), key=lambda i: i.visible_at, reverse=True)
        cards = [_report(item) for item in items[:PER_PAGE]]
        content = cards or [tag("div", "None so far.", class_="card empty")]
        return _html(page("Sandbox: reports", _back(), tag("h1", "Non-delivery reports"), *content))

    async def mail(self, request: web.Request) -> web.Response:
        mail = self._mail(request)
        reading = await _read(mail)
        content = [
            _back(),
            tag("h1", mail.subject or "(no subject)"),
            _summary(mail),
            *_bodies(mail, reading),
            *_attachments(mail, reading),
            *_sources(mail, reading),
        ]
        return _html(page(f"Sandbox: {mail.subject or 'mail'}", *content))

    async def html(self, request: web.Request) -> web.Response:
        text = (await _read(self._mail(request))).html_with_images()
        return web.Response(text=text, content_type="text/html", headers=THEIRS)

    async def attachment(self, request: web.Request) -> web.Response:
        reading, index = await _read(self._mail(request)), int(request.match_info["index"])
        if index >= len(reading.attachments):
            raise web.HTTPNotFound(text="No such attachment.")
        part = reading.attachments[index]
        disposition = f"attachment; filename*=UTF-8''{quote(part.name, safe='')}"
        return web.Response(
            body=part.content,
            content_type="application/octet-stream",
            headers={**THEIRS, "Content-Disposition": disposition},
        )

    async def submitted(self, request: web.Request) -> web.Response:
        return _source(self._mail(request).raw)

    async def delivered(self, request: web.Request) -> web.Response:
        return _source(delivered_copy(self._mail(request)))

    def _mail(self, request: web.Request) -> Delivered:
        mail = self.sandbox.store.mails.get(int(request.match_info["number"]))
        if mail is None:
            raise web.HTTPNotFound(text="This mail is not kept any more, or never was.")
        return mail


async def _read(mail: Delivered) -> Reading:
    return await asyncio.to_thread(lambda: read(delivered_copy(mail)))


def _html(text: str) -> web.Response:
    return web.Response(
        body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8", headers=OURS
    )


def _source(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="text/plain", charset="utf-8", headers=THEIRS)


def _clock(moment: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime(form)


def _line(mail: Delivered) -> Markup:
    people = ", ".join(address for _, address in mail.recipients[:20])
    tags = [] if mail.route == "mime" else [tag("span", mail.route, class_="tag")]
    if mail.deliver_at > mail.time:
        tags.append(tag("span", f"due {_clock(mail.deliver_at, '%H:%M:%S')}", class_="tag"))
    if mail.undeliverable:
        tags.append(tag("span", f"{len(mail.undeliverable)} undeliverable", class_="tag"))
    link = tag(
        "a",
        tag("span", mail.subject or "(no subject)", *tags, class_="subject"),
        tag("time", _clock(mail.time, "%H:%M:%S"), title=_clock(mail.time)),
        tag("span", f"{mail.sender} → {people}", class_="people"),
        tag("span", size_of(len(mail.raw)), class_="size"),
        href=f"/mails/{mail.number}",
    )
    return tag("li", link)


def _pager(*, newest: bool, older: str) -> Markup:
    links = [
        tag("a", "← Newest", href="/") if newest else tag("span"),
        tag("a", "Older →", href=older) if older else tag("span"),
    ]
    return tag("nav", *links, class_="pager")


def _back() -> Markup:
    return tag("nav", tag("a", "← Delivered mail", href="/"))


def _summary(mail: Delivered) -> Markup:
    rows = [("From", mail.sender)]
    for kind, label in KINDS.items():
        named = [address for how, address in mail.recipients if how == kind]
        if named:
            rows.append((label, ", ".join(named)))
    if mail.undeliverable:
        rows.append(("Undeliverable", ", ".join(mail.undeliverable)))
    rows += [("Accepted", _clock(mail.time)), ("Message-ID", mail.assigned_message_id)]
    if mail.deliver_at > mail.time:
        rows.append(("Delivered", f"{_clock(mail.deliver_at)}, delayed by the rate limit"))
    submitted = {"mime": "sendMail, MIME", "json": "sendMail, JSON", "draft": "draft and send"}[mail.route]
    rows.append(("Submitted", f"{submitted}, {size_of(len(mail.raw))}, through {mail.mailbox}"))
    return table(rows)


def _bodies(mail: Delivered, reading: Reading) -> list[Markup]:
    parts = []
    if reading.html is not None:
        source = f"/mails/{mail.number}/html"
        frame = tag("iframe", sandbox="", src=source, title="HTML body", referrerpolicy="no-referrer")
        parts += [tag("h2", "HTML"), tag("div", frame, class_="card frame")]
    if reading.text is not None:
        parts += [tag("h2", "Text"), tag("div", tag("pre", reading.text), class_="card")]
    return parts


def _attachments(mail: Delivered, reading: Reading) -> list[Markup]:
    if not reading.attachments:
        return []
    rows = []
    for index, part in enumerate(reading.attachments):
        link = tag("a", part.name, href=f"/mails/{mail.number}/attachments/{index}", download="")
        about = f"{part.content_type}, {size_of(len(part.content))}" + (
            f", inline as {part.content_id}" if part.content_id else ""
        )
        rows.append((link, about))
    lines = [tag("tr", tag("td", link), tag("td", about, class_="soft")) for link, about in rows]
    return [tag("h2", "Attachments"), tag("div", tag("table", *lines), class_="card")]


def _sources(mail: Delivered, reading: Reading) -> list[Markup]:
    lines = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in reading.headers]
    headers = tag("details", tag("summary", f"{len(lines)} fields"), tag("table", *lines))
    address = f"/mails/{mail.number}"
    links = tag(
        "p",
        tag("a", "as delivered", href=f"{address}/delivered"),
        ", ",
        tag("a", "as submitted", href=f"{address}/submitted"),
        tag("span", f" · SHA-256 of the latter {mail.sha256}", class_="soft"),
    )
    return [tag("h2", "Header"), tag("div", headers, class_="card"), tag("h2", "Source"), links]


def _report(item: Item) -> Markup:
    text = item.raw.partition(b"\n\n")[2].decode("utf-8", "replace")
    people = ", ".join(address for _, address in item.recipients)
    heading = tag("p", f"{_clock(item.visible_at)}, to {people}", class_="soft")
    return tag("section", heading, tag("div", tag("pre", f"{item.subject}\n\n{text}"), class_="card"))
