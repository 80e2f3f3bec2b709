"""A gateway with its sandbox, a browser that sees nothing else of the world, and people who are signed in."""

import os
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from sandbox.client import SandboxProcess
from tests.browser.stock import NEW, OTHER_CLIENT, PASSWORD, TENANT
from tests.harness.ports import eventually, free_port
from tests.harness.processes import ROOT, GatewayProcess, base_environment
from tests.harness.proxied import BELIEVED
from tests.harness.services import program

#: Milliseconds that a step in the browser may take on a machine that does much else.
PATIENCE = 30_000
WIDE = {"width": 1280, "height": 900}
MARK = "GATEWAY_TEST_BROWSER"
#: The old secret of one application opens nothing any more; two mailboxes do not take mail.
WORLD = {
    "apps": {OTHER_CLIENT: {"secrets": [NEW]}},
    "mailboxes": {
        "hr@contoso.test": {"tenant": TENANT, "state": "out_of_scope"},
        "events@contoso.test": {"tenant": TENANT, "state": "unlicensed"},
    },
}
BREACH = "Breach of the page's own policy:"
#: Runs in documents in which scripts may run: a mail's HTML is none, and its breaches are its own.
TELL_BREACHES = f"""
document.addEventListener("securitypolicyviolation", breach => {{
    console.error("{BREACH}", breach.effectiveDirective, breach.blockedURI);
}});
"""
expect.set_options(timeout=PATIENCE)


@dataclass
class Installation:
    gateway: GatewayProcess
    sandbox: SandboxProcess
    #: The port of the listener that believes what addresses clients say they have.
    proxied: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.gateway.http_port}"

    @property
    def smtp_port(self) -> int:
        return self.gateway.smtp_port


@pytest.fixture(scope="package")
def installation(tmp_path_factory):
    """Everything in one process, with people and senders, before a sandbox."""
    folder = tmp_path_factory.mktemp("browser")
    with SandboxProcess(folder / "sandbox") as sandbox:
        sandbox.world(**WORLD)
        environment = base_environment(folder / "data", REQUESTS_CA_BUNDLE=sandbox.ca_file)
        (folder / "data").mkdir()
        stock = [sys.executable, "-m", "tests.browser.stock", sandbox.base_url]
        subprocess.run(stock, cwd=ROOT, env=environment, check=True, timeout=100)
        gateway, proxied = GatewayProcess(environment), free_port()
        gateway.environment["SMTP_LISTENERS"] += f",smtp://127.0.0.1:{proxied}{BELIEVED}"
        with gateway:
            yield Installation(gateway, sandbox, proxied)


@pytest.fixture(scope="package")
def chromium():
    """Debian's chromium; none of its processes is left behind."""
    path, mark = program("chromium"), uuid.uuid4().hex
    arguments = ["--disable-dev-shm-usage", "--no-proxy-server"]
    arguments += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=arguments, env={**os.environ, MARK: mark}, timeout=90_000
        )
        yield browser
        browser.close()
    eventually(lambda: not marked(mark), 30, "the end of the browser's processes")


def marked(mark: str) -> list[str]:
    """List the processes that were started with the mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


@dataclass
class Incidents:
    """What must not happen on any page: a dialog, an error of a script, a breach of our own policy."""

    found: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.add_init_script(TELL_BREACHES)
        context.on("page", self._watch_page)
        context.on("weberror", lambda error: self.found.append(f"error of a script: {error.error}"))
        context.on("console", self._console)

    def _watch_page(self, page: Page) -> None:
        page.on("dialog", self._dialog)

    def _dialog(self, dialog) -> None:
        self.found.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        if message.text.startswith(BREACH):
            self.found.append(f"{message.page.url}: {message.text}")


@dataclass
class People:
    """Opens browsers for people: each signs in once, through the page."""

    browser: Browser
    installation: Installation
    kept: dict[str, dict] = field(default_factory=dict)

    def context(self, name: str = "", **more) -> BrowserContext:
        options = {"base_url": self.installation.web, "viewport": WIDE, "reduced_motion": "reduce"} | more
        if name and name not in self.kept:
            with self.browser.new_context(**options) as first:
                first.set_default_timeout(PATIENCE)
                sign_in(first.new_page(), name)
                self.kept[name] = first.storage_state()
        context = self.browser.new_context(**options, storage_state=self.kept[name] if name else None)
        context.set_default_timeout(PATIENCE)
        return context


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.goto("/admin/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


@pytest.fixture(scope="package")
def people(chromium, installation):
    return People(chromium, installation)


@pytest.fixture
def opened(people):
    """Make pages for somebody, and hold at the end that nothing untoward happened on them."""
    incidents, contexts = Incidents(), []

    def open_for(name: str = "", **more) -> Page:
        context = people.context(name, **more)
        contexts.append(context)
        incidents.watch(context)
        return context.new_page()

    yield open_for
    for context in contexts:
        context.close()
    assert incidents.found == []


@pytest.fixture
def page(opened) -> Page:
    """A page of the administrator."""
    return opened("ada")


class Outside(ThreadingHTTPServer):
    """A server elsewhere, to which nothing in a mail may lead."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_) -> None:
                pass

        return Handler


@pytest.fixture
def outside():
    server = Outside()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(30)
