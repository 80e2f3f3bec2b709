"""The life of a sandbox process: certificates, sites, the file that says it is ready, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.certificates import prepare, write_private
from sandbox.control import ALLOWED_HOSTS, LOOPBACK, Control, only_from_here
from sandbox.ledger import Ledger
from sandbox.pages import Pages
from sandbox.server import ENTRA, GRAPH, UPLOAD, Site
from sandbox.state import Sandbox
from sandbox.store import Store
from sandbox.tokens import Tokens
from sandbox.world import MEBIBYTE, merge

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

log = logging.getLogger(__name__)
BACKLOG = 1024
LAST_WORDS = 0.5  # seconds that open requests get at the end


@dataclass(frozen=True)
class Options:
    """What the command line says; ports of 0 are chosen by the kernel."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8443
    upload_port: int = 0
    page_port: int = 8025
    name: tuple[str, ...] | list[str] = ()
    ledger: Path | None = None
    keep: int = 2000
    keep_mib: int = 200
    world: Path | None = None
    with_parent: int | None = None


def run(options: Options) -> int:
    """Serve until told to end; returns the exit status, 1 with a sentence when it cannot start."""
    options.data_dir.mkdir(parents=True, exist_ok=True)
    gc.set_threshold(20_000, 20, 50)  # thousands of kept mails make a full collection long, and rarely useful
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(_serve(options))
    except (OSError, ValueError) as error:
        log.error("The sandbox cannot start: %s", error)  # noqa: TRY400 -- a sentence, not a traceback
        return 1
    return 0


async def _serve(options: Options) -> None:
    ready_file = options.data_dir / "sandbox.json"
    ready_file.unlink(missing_ok=True)
    ended = _signals()
    sandbox = _sandbox(options)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(sandbox.ledger.close)
        await _open_sites(stack, sandbox, options)
        write_private(ready_file, json.dumps(_ready(sandbox, options)).encode())
        stack.callback(ready_file.unlink, missing_ok=True)
        log.info("Sandbox: Entra and Graph at %s, mail at %s", sandbox.base_url, sandbox.page_url)
        log.info("It delivers nothing outside this machine. Trust %s", sandbox.certificates.ca_file)
        if options.with_parent:
            stack.callback(_watch(options.with_parent, ended).cancel)
        await ended.wait()


def _sandbox(options: Options) -> Sandbox:
    wildcard = options.host in ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not bound
    names = ["localhost", "127.0.0.1", "::1", *([] if wildcard else [options.host]), *options.name]
    certificates = prepare(options.data_dir, list(dict.fromkeys(names)))
    sandbox = Sandbox(
        ledger=Ledger(options.ledger or options.data_dir / "ledger.jsonl"),
        tokens=Tokens(certificates.signing_key),
        certificates=certificates,
        store=Store(options.keep, options.keep_mib * MEBIBYTE),
    )
    if options.world:
        sandbox.initial = merge(sandbox.initial, json.loads(options.world.read_text()))
        sandbox.replace_world(sandbox.initial)
    return sandbox


async def _open_sites(stack: contextlib.AsyncExitStack, sandbox: Sandbox, options: Options) -> None:
    tls, host = sandbox.certificates.server_context(), options.host
    shown = "localhost" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 -- compared, not bound
    shown = f"[{shown}]" if ":" in shown else shown
    graph = web.ServerRunner(web.Server(Site(sandbox, GRAPH + ENTRA), access_log=None))
    upload = web.ServerRunner(web.Server(Site(sandbox, UPLOAD), access_log=None))
    page = web.AppRunner(_page(sandbox, (*LOOPBACK, host, *options.name)), access_log=None)
    port = await _open(stack, graph, host, options.port, tls)
    sandbox.base_url = f"https://{shown}:{port}"
    port = await _open(stack, upload, host, options.upload_port, tls)
    sandbox.upload_url = f"https://{shown}:{port}"
    port = await _open(stack, page, host, options.page_port, None)
    sandbox.page_url = f"http://{shown}:{port}"


def _page(sandbox: Sandbox, hosts: tuple[str, ...]) -> web.Application:
    page = web.Application(middlewares=[only_from_here], client_max_size=16 * MEBIBYTE)
    page[ALLOWED_HOSTS] = tuple(dict.fromkeys(name.lower() for name in hosts))
    page.add_routes(Control(sandbox).routes())
    page.add_routes(Pages(sandbox).routes())
    page.router.add_get("/metadata/identity/oauth2/token", Site(sandbox, ENTRA).__call__)
    return page


async def _open(
    stack: contextlib.AsyncExitStack,
    runner: web.ServerRunner | web.AppRunner,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
) -> int:
    """Open a site, see to it that it is closed, and return its port."""
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(
        runner, host, port, ssl_context=tls, backlog=BACKLOG, shutdown_timeout=LAST_WORDS, reuse_address=True
    )
    await site.start()
    return int(runner.addresses[0][1])


def _ready(sandbox: Sandbox, options: Options) -> dict[str, object]:
    return {
        "base_url": sandbox.base_url,
        "upload_url": sandbox.upload_url,
        "page_url": sandbox.page_url,
        "ca_file": str(sandbox.certificates.ca_file.absolute()),
        "ledger": str(sandbox.ledger.path.absolute()),
        "host": options.host,
        "pid": os.getpid(),
    }


def _signals() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended


def _watch(parent: int, ended: asyncio.Event) -> asyncio.Task[None]:
    """End with the process `parent`: a test that is killed must not leave a sandbox behind."""
    is_child = os.getppid() == parent

    async def watch() -> None:
        while _lives(parent, is_child):  # noqa: ASYNC110 -- another process ends without an event
            await asyncio.sleep(0.25)
        ended.set()

    return asyncio.create_task(watch())


def _lives(parent: int, is_child: bool) -> bool:
    if is_child:
        return os.getppid() == parent
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
