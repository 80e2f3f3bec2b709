"""The matrix as data: clients, encryptions, logins; what each cell needs, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.smtp.smtp_server import Queue

ENCRYPTIONS = ("plain", "starttls", "tls")
LOGINS = ("none", "PLAIN", "LOGIN")
#: Dots that are to be stuffed, letters beyond ASCII, a line that some clients fold or encode.
TEXT = "Grüße vom Drucker – erste Zeile\n.a line with a dot\n..with two\n.\n" + "long " * 60 + "\nlast line\n"
MAIL_FROM = "app@example.org"
RECIPIENTS = ("ann@example.net", "bob@example.net")
LOGIN, PASSWORD = "printer", "correct horse"


@dataclass(frozen=True)
class Cell:
    """One way in which a client connects."""

    client: str
    encryption: str
    login: str

    def __str__(self) -> str:
        return f"{self.client}-{self.encryption}-{self.login}"

    @property
    def mechanism(self) -> str:
        return "" if self.login == "none" else self.login

    @property
    def protocol(self) -> str:
        """What the Received field must say (RFC 3848): which TLS and which login the session really had."""
        extended = "" if self.client.startswith("Zabbix") else "E"
        return (
            f"{extended}SMTP" + ("" if self.encryption == "plain" else "S") + ("A" if self.mechanism else "")
        )


@dataclass(frozen=True)
class Entrance:
    """A listener for each encryption, the queue behind them, and the certificate that they show."""

    ports: dict[str, int]
    queue: Queue
    ca: Path

    def job(self, cell: Cell) -> dict:
        """What the scripts in `programs/` are told."""
        return {
            "port": self.ports[cell.encryption],
            "encryption": cell.encryption,
            "mechanism": cell.mechanism,
            "login": LOGIN,
            "password": PASSWORD,
            "ca": "" if cell.encryption == "plain" else str(self.ca),
            "from": MAIL_FROM,
            "to": list(RECIPIENTS),
            "subject": f"by {cell}",
            "text": TEXT,
        }


Driver = Callable[[Cell, Entrance, Path], None]


def content(subject: str) -> bytes:
    """Write the mail that is handed to clients which do not write one themselves; LF, as from a file."""
    head = (
        f"From: {MAIL_FROM}\nTo: {', '.join(RECIPIENTS)}\nSubject: {subject}\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    )
    return (head + TEXT).encode()
