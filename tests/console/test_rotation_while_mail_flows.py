"""A secret is replaced on its page while mail flows: every worker switches, and no mail is lost or held."""

import re
import threading

from tests.console.office import NEW, OLD, Browser, prepare
from tests.console.rows import CLIENT
from tests.harness.ports import eventually
from tests.harness.processes import Web, mail, rows, send


class Flow(threading.Thread):
    """Mail handed in without a pause, until it is ended."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.sent, self._ended = port, 0, threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            send(self.port, mail(self.sent))
            self.sent += 1

    def more(self, count: int) -> None:
        wanted = self.sent + count
        eventually(lambda: self.sent >= wanted, 120, "more mail handed in")

    def end(self) -> int:
        self._ended.set()
        self.join(60)
        return self.sent


def rotate(browser: Browser, path: str) -> None:
    tried = browser.post(path, {"step": "check", "secret": NEW})
    assert "Store it and switch" in tried
    sealed = re.search(r'name="sealed" value="([^"]+)"', tried)[1]
    assert "Retire the older one" in browser.post(path, {"step": "save", "sealed": sealed})


def test_every_worker_switches_and_no_mail_is_lost_or_held(stack, tmp_path):
    stack.sandbox.world(apps={CLIENT: {"secrets": [OLD, NEW]}})
    prepare(stack, tmp_path)
    listener = stack.listener().start()
    workers = [] if stack.embedded else [stack.worker().start(), stack.worker().start()]
    web = listener
    if not stack.embedded:
        web = Web(stack.environment, WEB_HTTPS="false")
        stack.entered.callback(web.kill)
        web.start()
    browser = Browser(web.http_port)
    ((pk,),) = rows(stack.environment, "SELECT id FROM mailrelay_appregistration")
    path = f"/admin/mailrelay/appregistration/{pk}/rotation/"
    flow = Flow(listener.smtp_port)
    flow.start()
    flow.more(10)

    rotate(browser, path)

    in_use = "SELECT secret_in_use FROM mailrelay_appregistration"
    eventually(lambda: rows(stack.environment, in_use) == [("next_secret",)], 60, "the newer secret in use")
    # From here on the old one opens nothing, and no token that it was given for is good any more.
    stack.sandbox.world(apps={CLIENT: {"secrets": [NEW]}})
    stack.sandbox.revoke_tokens()
    flow.more(20)
    version = re.search(r'name="version" value="(\d+)"', browser.get(path))[1]
    browser.post(path, {"step": "retire", "version": version})
    flow.more(20)
    count = flow.end()

    stack.wait_for(timeout=120, sent=count)
    assert len({found["internet_message_id"] for found in stack.delivered()}) == count
    assert len(stack.delivered()) == count
    outcomes = rows(stack.environment, "SELECT DISTINCT outcome FROM mailrelay_sendlog")
    assert outcomes == [("sent",)]
    assert rows(stack.environment, in_use) == [("secret",)]
    logs = [process.output() for process in (listener, web, *workers)]
    assert not any(NEW in log or OLD in log for log in logs)
