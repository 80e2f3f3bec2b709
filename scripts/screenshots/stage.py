"""The gateway in the pictures: real processes and SMTP before a sandbox, with mail that went and did not."""

import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path

from sandbox.client import SandboxProcess
from scripts.screenshots.stock import OTHER_CLIENT, TENANT
from tests.harness.ports import eventually, free_port
from tests.harness.processes import ROOT, GatewayProcess, base_environment, states
from tests.harness.proxied import BELIEVED, Behind

#: The secret that is typed into the rotation.
NEW_SECRET = "tQ8~the-value-that-Entra-shows-once"  # noqa: S105 - the sandbox's
WORLD = {
    "apps": {OTHER_CLIENT: {"secrets": [NEW_SECRET], "name": "Billing"}},
    "mailboxes": {
        "hr@contoso.test": {"tenant": TENANT, "state": "out_of_scope"},
        "events@contoso.test": {"tenant": TENANT, "state": "unlicensed"},
    },
}
#: From whose address, called what, from which mailbox, to whom, about what.
MAILS = (
    ("192.0.2.17", "erp", "erp", "orders@fabrikam.test", "Order 4711 confirmed"),
    ("192.0.2.18", "cloud", "cloud", "lena@contoso.test", "Lena, a folder was shared with you"),
    ("192.0.2.40", "monitoring", "alerts", "oncall@contoso.test", "RESOLVED: disk of db-2 below 80 %"),
    ("192.0.2.140", "copier-2nd-floor", "scan", "frank@contoso.test", "Scan of the lease"),
    ("192.0.2.19", "wiki", "wiki", "team@contoso.test", "Release notes were changed"),
    ("192.0.2.18", "events", "events", "guests@example.org", "Your seat at the open day"),
    ("192.0.2.17", "erp", "billing", "accounts@fabrikam.test", "Invoice 2026-1107"),
    ("192.0.2.17", "erp", "erp", "orders@fabrikam.test", "Order 4712 confirmed"),
    ("192.0.2.21", "payroll", "hr", "staff@contoso.test", "Your payslip is ready"),
    ("192.0.2.40", "monitoring", "alerts", "oncall@contoso.test", "Certificate of www ends in 20 days"),
)
#: Refused: an address that nobody named, and one that may not send from there.
REFUSED = (("198.51.100.23", "kiosk", "kiosk@contoso.test"), ("192.0.2.40", "db-2", "root@db-2.contoso.test"))


@contextmanager
def gateway(folder: Path) -> Iterator[GatewayProcess]:
    """Start all of it in `folder`, hand the mail in and wait until its fate is known."""
    with SandboxProcess(folder / "sandbox") as sandbox:
        sandbox.world(**WORLD)
        environment = base_environment(folder / "data", REQUESTS_CA_BUNDLE=sandbox.ca_file)
        (folder / "data").mkdir()
        stock = [sys.executable, "-m", "scripts.screenshots.stock", sandbox.base_url]
        subprocess.run(stock, cwd=ROOT, env=environment, check=True)
        process = GatewayProcess(environment)
        proxied = free_port()
        process.environment["SMTP_LISTENERS"] += f",smtp://127.0.0.1:{proxied}{BELIEVED}"
        with process:
            hand_in(proxied)
            eventually(lambda: _decided(environment), 120, "the fate of the mail")
            yield process


def hand_in(port: int) -> None:
    for address, name, box, to, subject in MAILS:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"{box}@contoso.test", to, subject
        mail["Message-ID"] = f"<{subject.replace(' ', '.').lower()}@{name}.contoso.test>"
        mail.set_content(f"{subject}\n")
        with Behind(port, address, f"{name}.contoso.test") as client:
            client.send_message(mail)
    for address, name, mail_from in REFUSED:
        data = f"From: {mail_from}\r\nSubject: Nobody lets me in\r\n\r\n".encode()
        with suppress(smtplib.SMTPException), Behind(port, address, f"{name}.contoso.test") as client:
            client.sendmail(mail_from, ["lena@contoso.test"], data)


def _decided(environment: dict[str, str]) -> bool:
    found = states(environment)
    return sum(found.values()) == len(MAILS) and set(found) == {"sent", "failed", "held"}
