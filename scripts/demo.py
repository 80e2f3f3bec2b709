"""`make demo`: the whole gateway in one process against the bundled sandbox, with real mail sent through it.

Every line is printed when it was seen: the listener's reply, the rows of the database, the sandbox's record
of requests, and the mail that it delivered. With `--once` it ends after that, with 0 if all of it was right.
"""

import argparse
import contextlib
import os
import shutil
import signal
import smtplib
import sys
import tempfile
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from demo_gateway import DemoError, DemoGateway  # noqa: E402 - found through the path above

T = TypeVar("T")
PATIENCE = 60.0  # seconds for a step
SENDER = "gateway@contoso.test"
TO, CC, BLIND = "ann@example.org", "bob@example.net", "carol@example.com"
REFUSAL = {
    "where": "sendMail",
    "kind": "status",
    "status": 400,
    "code": "ErrorInvalidRecipients",
    "message": "At least one recipient is not valid.",
}


class Demo:
    """The steps, each printed as it is seen."""

    def __init__(self, gateway: DemoGateway) -> None:
        self.gateway = gateway
        self.started = time.monotonic()

    def say(self, what: str, text: str) -> None:
        word = f"\x1b[1m{what:<9}\x1b[0m" if _colours() else f"{what:<9}"
        _line(f"{time.monotonic() - self.started:5.1f} s  {word}  {text}")

    def start(self) -> None:
        _line("The mail gateway with everything in one process, before a sandbox of Entra ID and Graph.")
        _line("Nothing leaves this machine.\n")
        self.gateway.start()
        self.say("started", f"SMTP on 127.0.0.1:{self.gateway.smtp_port}, admin on {self.gateway.admin_url}")

    def deliver_one(self) -> None:
        """Send a mail with HTML, an attachment and a blind recipient, and prove that it arrived as it was."""
        data = _bytes(_report())
        queue_id = self.send(data, TO, CC, BLIND)
        self.show_task(queue_id)
        self.show_request(queue_id, 202)
        self.wait(lambda: self.gateway.message(queue_id, "sent"), "the record of the mail as sent")
        mail = self.wait(self.gateway.deliveries, "the delivered mail")[0]
        _prove(mail["to"] == [TO] and mail["cc"] == [CC] and mail["bcc"] == [BLIND], "its recipients")
        _prove(self.gateway.submitted(mail["seq"]).endswith(_body(data)), "its body")
        _prove(_without_envelope(self.gateway.submitted(mail["seq"])) == data, "its header")
        _prove(BLIND.encode() not in self.gateway.delivered(mail["seq"]), "the blind recipient")
        self.say("delivered", f"to {TO} and {CC}, blind to {BLIND}, byte for byte as sent")

    def fail_one(self) -> None:
        """Send a mail that Graph refuses, and show where the reason stands."""
        self.gateway.order_fault(REFUSAL)
        queue_id = self.send(_bytes(_notice()), TO)
        self.show_request(queue_id, 400)
        message = self.wait(lambda: self.gateway.message(queue_id, "failed"), "the record of the failure")
        self.say("failed", message.deliveries.get().last_error)

    def send(self, data: bytes, *recipients: str) -> str:
        with smtplib.SMTP("127.0.0.1", self.gateway.smtp_port, "demo.test", timeout=PATIENCE) as client:
            client.ehlo()
            client.mail("app@contoso.test", [f"SIZE={len(data)}"])
            for recipient in recipients:
                code, reply = client.rcpt(recipient)
                _prove(code == 250, f"the reply to RCPT ({code} {reply.decode()})")
            code, reply = client.data(data)
        text = f"{code} {reply.decode()}"
        _prove(code == 250, f"the reply to DATA ({text})")
        people = "1 recipient" if len(recipients) == 1 else f"{len(recipients)} recipients"
        self.say("accepted", f"{text} ({len(data)} bytes, {people})")
        return text.rpartition(" ")[2]

    def show_task(self, queue_id: str) -> None:
        """Show the Celery task that a worker has begun: its id is the queue id and a number."""
        attempt = self.wait(lambda: self.gateway.attempt(queue_id), "the task")
        self.say("task", f"mailrelay.deliver {queue_id}.{attempt.delivery.claims}")

    def show_request(self, queue_id: str, status: int) -> None:
        """Show the request as the sandbox recorded it, and hold it against the gateway's own record."""
        attempt = self.wait(lambda: self.gateway.attempt(queue_id, answered=True), "Graph's answer")
        line = self.wait(
            lambda: self.gateway.request(attempt.request_id), "the request in the sandbox's ledger"
        )
        _prove(line["status"] == attempt.http_status == status, f"Graph's answer ({line['status']})")
        code = f" {line['code']}" if line["code"] else ""
        self.say("Graph", f"{line['method']} {line['path']}: {line['status']}{code}")

    def wait(self, look: Callable[[], T | None], what: str) -> T:
        """Return the first true value of `look`. Raises DemoError after PATIENCE seconds."""
        end = time.monotonic() + PATIENCE
        while True:
            self.gateway.check_alive()
            if value := look():
                return value
            if time.monotonic() > end:
                raise DemoError(f"{what} did not come within {PATIENCE:.0f} s")
            time.sleep(0.01)

    def show_the_way(self) -> None:
        gateway = self.gateway
        _line(f"\n  Delivered mail   {gateway.page_url}")
        _line(f"  Admin            {gateway.admin_url}   login {gateway.login}")
        _line(f"  Health, metrics  {gateway.http_url}/ready {gateway.http_url}/metrics")
        _line(f"  Send some more   swaks --server 127.0.0.1:{gateway.smtp_port} --to {TO}\n")


def _report() -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"Month-end reports <{SENDER}>"
    message["To"], message["Cc"] = f"Ann Example <{TO}>", CC
    message["Subject"] = "Figures for October – first look"
    message["Date"] = "Mon, 02 Nov 2026 08:00:00 +0000"
    message["Message-ID"] = "<demo.1@app.contoso.test>"
    message.set_content("The figures are attached.\n", cte="7bit")
    html = "<h1>October</h1><p>The figures are <b>attached</b>: revenue is up, returns are down.</p>\n"
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    table = b"region,revenue\nnorth,1200\nsouth,940\n"
    message.add_attachment(table, maintype="text", subtype="csv", filename="october.csv")
    return message


def _notice() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = SENDER, TO
    message["Subject"] = "A mail that Graph refuses"
    message["Message-ID"] = "<demo.2@app.contoso.test>"
    message.set_content("This one never arrives, and the gateway says why.\n")
    return message


def _bytes(message: EmailMessage) -> bytes:
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


def _body(data: bytes) -> bytes:
    return data[data.index(b"\r\n\r\n") :]


def _without_envelope(data: bytes) -> bytes:
    """`data` less what a relay adds: the trace field on top, and Bcc, in which Graph takes the blind ones."""
    first = data.index(b"\r\nFrom:") + 2
    return data[first:].replace(b"Bcc: " + BLIND.encode() + b"\r\n", b"", 1)


def _prove(holds: bool, what: str) -> None:
    if not holds:
        raise DemoError(f"{what} is not what it should be")


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Stopped(BaseException):
    """A signal asked for the end."""


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise Stopped(number)


def _listen_for_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _serve(demo: Demo) -> None:
    _line("Serving until Ctrl-C, which ends it and removes what it wrote.")
    parent = os.getppid()
    while os.getppid() == parent:  # the process that started it may have been killed
        demo.gateway.check_alive()
        time.sleep(0.5)


def _show(demo: Demo, *, once: bool) -> int:
    try:
        demo.start()
        demo.deliver_one()
        demo.fail_one()
        demo.show_the_way()
        if once:
            _line("All of it was right.")
        else:
            _serve(demo)
    except Stopped as stopped:
        _line("\nStopping …")
        return 128 + stopped.args[0] if once else 0
    except (DemoError, OSError, smtplib.SMTPException) as failure:
        _line(f"\nThe demo failed: {failure}.\n{demo.gateway.last_words()}")
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the proof instead of serving")
    once = parser.parse_args().once
    _listen_for_signals(_stop)
    folder = Path(tempfile.mkdtemp(prefix="mail-gateway-demo-"))
    gateway = DemoGateway(folder)
    try:
        return _show(Demo(gateway), once=once)
    finally:
        _listen_for_signals(signal.SIG_IGN)
        with contextlib.suppress(OSError):
            gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
