"""Mail from clients that try again, and what became of it."""

import itertools
import smtplib
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import SimpleNamespace
from typing import TYPE_CHECKING

from sandbox.client import SandboxProcess
from tests.delivery.reconcile import Ledgers
from tests.harness.processes import as_sent, mail
from tests.image.containers import Container
from tests.large.mails import blob

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = 3.0  # seconds until a client tries again


@dataclass
class Traffic:
    """Mails by Message-ID without brackets: those that got a 250, and how often clients had to try again."""

    address: str
    port: int = 25
    told: set[str] = field(default_factory=set)
    again: int = 0
    refused: list[str] = field(default_factory=list)

    def send(self, name: str, message: EmailMessage, within: float = 300) -> None:
        """Send until there is a 250; a 5xx is put down and ends it, as everything after `within` seconds.

        Each try is a mail of its own: what was stored and could not be acknowledged any more arrives as well.
        """
        data, end = as_sent(message), time.monotonic() + within
        for turn in itertools.count():
            own = f"{turn}-{name}"
            try:
                self._try(data.replace(name.encode(), own.encode(), 1))
            except smtplib.SMTPResponseException as error:
                if error.smtp_code >= 500:
                    self.refused.append(f"{name}: {error.smtp_code} {error.smtp_error!r}")
                    return
            except (OSError, smtplib.SMTPException):
                pass
            else:
                self.told.add(own)
                return
            if time.monotonic() > end:
                self.refused.append(f"{name}: no 250 within {within} s")
                return
            self.again += 1
            time.sleep(PAUSE)

    def _try(self, data: bytes) -> None:
        with smtplib.SMTP(self.address, self.port, local_hostname="client.test", timeout=60) as client:
            client.ehlo()
            # SIZE as smtplib's sendmail and mail servers say it.
            options = [f"size={len(data)}"]
            for code, text in (client.mail("app@contoso.test", options), client.rcpt("ann@example.org")):
                if code != 250:
                    raise smtplib.SMTPResponseException(code, text)
            code, text = client.data(data)
            if code != 250:
                raise smtplib.SMTPDataError(code, text)
            # A listener that shuts down says 421 between the 250 and QUIT: the mail was taken all the same.
            client.close()

    def at_once(self, mails: dict[str, EmailMessage], within: float = 300) -> None:
        """Send each by a client of its own, all at the same time."""
        threads = [
            threading.Thread(target=self.send, args=(name, message, within), daemon=True)
            for name, message in mails.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def small(prefix: str, count: int) -> dict[str, EmailMessage]:
    return {f"test-{prefix}-{number}@app.test": mail(f"{prefix}-{number}") for number in range(count)}


def large(prefix: str, count: int, size: int) -> dict[str, EmailMessage]:
    """Make mails of `size` bytes of attachment, which all have the same one."""
    content = blob(size, 7)
    mails = small(prefix, count)
    for message in mails.values():
        message.add_attachment(content, "application", "octet-stream", filename="a.bin")
    return mails


def ledgers(container: Container, sandbox: SandboxProcess, told: set[str]) -> Ledgers:
    """Read the queue of a running container, beside it, and hold it against the other two ledgers."""
    environment = {"DATA_DIR": str(container.file("/data"))}
    return Ledgers.of(SimpleNamespace(sandbox=sandbox, environment=environment), told)


def wait_until_sent(container: Container, sandbox: SandboxProcess, told: set[str], within: float) -> Ledgers:
    """Wait until all that clients were told about has left, and hold the three ledgers against each other."""

    end = time.monotonic() + within
    while waiting := _open(container, sandbox, told):
        assert container.is_up(), container.logs()
        assert time.monotonic() < end, f"not over after {within} s: {waiting}"
        time.sleep(0.5)
    found = ledgers(container, sandbox, told)
    found.assert_nothing_lost()
    found.assert_nothing_doubled_but_by_policy()
    assert {state for state, _ in found.recorded.values()} <= {"sent"}
    return found


def _open(container: Container, sandbox: SandboxProcess, told: set[str]) -> dict[str, str]:
    try:
        return ledgers(container, sandbox, told).open()
    except sqlite3.OperationalError as error:
        return {"the database": str(error)}


def without_limits(container: Container) -> None:
    """Take Microsoft's limits of the minute off the mailboxes, so that a test need not wait for them."""
    path: Path = container.file("/data/gateway.sqlite3")
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        connection.execute(
            "UPDATE mailrelay_mailbox SET upload_bytes_per_5_minutes = 0, messages_per_minute = 0"
        )
    connection.close()
