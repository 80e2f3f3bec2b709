"""A listener process with a real queue, for everybody who means it harm."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.processes import Relay, base_environment, manage, rows
from tests.smtp.certificates import write_certificate
from tests.smtp.smtp_server import Talk

ACCEPTED = re.compile(r"250 2\.0\.0 Ok: queued as ([0-9a-f]{32})")
#: Nothing is delivered: what was taken stays to be looked at.
NOBODY = {
    "AZURE_TENANT_ID": "abuse.example",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "abuse",
    "SENDER_EMAIL": "gateway@contoso.test",
    "GRAPH_ENDPOINT": "https://127.0.0.1:9",
    "AZURE_AUTHORITY_HOST": "https://127.0.0.1:9",
    "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
}


@dataclass(frozen=True)
class Row:
    """A message in the queue: its envelope, and whether its content is as long as it says."""

    mail_from: str
    recipients: tuple[str, ...]
    whole: bool


class Target(Relay):
    #: Bytes of the log that `check` has read.
    read = 0

    def talk(self, **options) -> Talk:
        return Talk(self.smtp_port, **options)

    def newest(self) -> int:
        """Number the message that was stored last."""
        return rows(self.environment, "SELECT COALESCE(MAX(rowid), 0) FROM mailrelay_message")[0][0]

    def queue(self, after: int = 0) -> dict[str, Row]:
        """Read the messages in the queue by their ids: those stored after the one numbered `after`."""
        heads = rows(
            self.environment,
            "SELECT m.id, m.mail_from, m.size, "
            "(SELECT SUM(LENGTH(c.data)) FROM mailrelay_contentchunk c WHERE c.content = m.id) "
            "FROM mailrelay_message m WHERE m.rowid > %s",
            after,
        )
        named = rows(
            self.environment,
            "SELECT d.message_id, r.address FROM mailrelay_message m "
            "JOIN mailrelay_delivery d ON d.message_id = m.id "
            "JOIN mailrelay_recipient r ON r.delivery_id = d.id WHERE m.rowid > %s",
            after,
        )
        recipients: dict[str, list[str]] = {}
        for identifier, address in named:
            recipients.setdefault(identifier, []).append(address)
        return {
            identifier: Row(mail_from, tuple(sorted(recipients.get(identifier, ()))), size == stored)
            for identifier, mail_from, size, stored in heads
        }

    def check(self) -> None:
        """Fail if the process has ended or owned up to a fault of its own since the last look."""
        assert self.process.poll() is None, self.output()[-4000:]
        with self.log.open("rb") as log:
            log.seek(self.read)
            new = log.read()
        self.read += len(new)
        said = new.decode(errors="replace")
        assert "fault in a session" not in said and "Traceback" not in said, said[-4000:]


def target_in(folder: Path, **more: str) -> Target:
    """Prepare a listener with a certificate, not started yet."""
    folder.mkdir(exist_ok=True)
    certificate, key = write_certificate(folder)
    files = {"SMTP_TLS_CERT_FILE": str(certificate), "SMTP_TLS_KEY_FILE": str(key)}
    environment = base_environment(folder / "data", **{**NOBODY, **files, **more})
    (folder / "data").mkdir()
    manage(environment, "migrate", "--verbosity", "0")
    return Target(environment)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Iterator[Target]:
    with target_in(
        tmp_path_factory.mktemp("abuse") / "target", SMTP_MAX_CONNECTIONS_PER_CLIENT="500"
    ) as relay:
        yield relay


@pytest.fixture
def target(shared: Target) -> Iterator[Target]:
    yield shared
    shared.check()
