"""A relay by itself: it listens and stores, and nobody delivers, so that rows stay as they were stored."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.harness.ports import eventually
from tests.harness.processes import FIELD_KEY, SECRET_KEY, Relay, base_environment, manage, rows
from tests.smtp.smtp_server import Talk

#: Seconds within which a client is promised a reply, and what a busy machine may add.
PROMISED, BUSY = 10.0, 10.0
#: Named, never reached.
NOWHERE = {
    "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "no-secret",
    "SENDER_EMAIL": "gateway@contoso.test",
    "AZURE_AUTHORITY_HOST": "https://127.0.0.1:9",
    "GRAPH_ENDPOINT": "https://127.0.0.1:9",
    "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
    "DJANGO_SECRET_KEY": SECRET_KEY,
    "FIELD_ENCRYPTION_KEYS": FIELD_KEY,
}


class Installation(ABC):
    """One database with its tables, and the relays that a test starts on it."""

    vendor = ""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.environment = base_environment(folder, **NOWHERE, **more)
        self.entered = ExitStack()

    def relay(self, **more: str) -> Relay:
        """Prepare a relay; not started."""
        relay = Relay(self.environment, **more)
        self.entered.callback(relay.kill)
        return relay

    def rows(self, query: str, *values: Any) -> list[tuple]:
        return rows(self.environment, query, *values)

    def count(self, model: str) -> int:
        return self.rows(f"SELECT COUNT(*) FROM mailrelay_{model}")[0][0]

    def is_empty(self) -> bool:
        """Whether nothing of any mail is stored."""
        return not any(map(self.count, ("message", "delivery", "recipient", "contentchunk")))

    def queue_ids(self) -> list[str]:
        return sorted(str(pk).replace("-", "") for (pk,) in self.rows("SELECT id FROM mailrelay_message"))

    def content(self, queue_id: str) -> bytes:
        """What is stored of a mail, without the field that the relay put on top."""
        chunks = self.rows(
            "SELECT data FROM mailrelay_contentchunk WHERE content = %s ORDER BY number", queue_id
        )
        whole = b"".join(bytes(data) for (data,) in chunks)
        return whole[whole.index(b"\r\nFrom: ") + 2 :] if whole else b""

    def total(self, name: str) -> int:
        found = self.rows("SELECT SUM(value) FROM mailrelay_counter WHERE name = %s", name)
        return int(found[0][0] or 0)

    def sweep(self) -> None:
        """Do once what a process that delivers does every few seconds: remove what is past its time."""
        code = "from mailrelay.outbox.scheduling import retention; retention.run()"
        manage(self.environment, "shell", "--no-imports", "-c", code)

    @abstractmethod
    def execute(self, statement: str, *values: Any) -> None:
        """Run a statement, past the gateway."""

    @abstractmethod
    def locked(self) -> Any:
        """Keep every writer waiting for as long as the context lasts."""

    @abstractmethod
    def refuse_subject(self, subject: str) -> None:
        """Let the database refuse messages with this subject, as it does a text that it cannot store."""


class OnSQLite(Installation):
    vendor = "sqlite"

    @property
    def path(self) -> Path:
        return self.folder / "gateway.sqlite3"

    def execute(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute(statement.replace("%s", "?"), values)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def refuse_subject(self, subject: str) -> None:
        self.execute(
            "CREATE TRIGGER refusal BEFORE INSERT ON mailrelay_message "
            f"WHEN NEW.subject = '{subject}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )


class OnPostgreSQL(Installation):
    vendor = "postgresql"

    def __init__(self, folder: Path, server: Any, url: str) -> None:
        super().__init__(folder, DATABASE_URL=url)
        self.server = server
        self.url = url

    def connect(self) -> Any:
        import psycopg

        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def execute(self, statement: str, *values: Any) -> None:
        with self.connect() as connection:
            connection.execute(statement, values or None)

    def configure(self, name: str, value: str) -> None:
        """Change a setting of the whole server; the empty text is its default."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'" if value else f"ALTER SYSTEM RESET {name}")
        self.execute("SELECT pg_reload_conf()")

    def cut_connections(self) -> None:
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let nobody have a connection to the database: those that are there are cut, new ones refused."""
        import psycopg

        name = self.url.rpartition("/")[2]
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            try:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                )
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def make_read_only(self, read_only: bool = True) -> None:
        """Let every new transaction of this database refuse writes, as on a server that was demoted."""
        import psycopg

        name = self.url.rpartition("/")[2]
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")
            # A connection keeps what it began with.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.connect() as connection, connection.transaction():
            connection.execute("LOCK TABLE mailrelay_message IN EXCLUSIVE MODE")
            yield

    def refuse_subject(self, subject: str) -> None:
        self.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        )
        self.execute(
            "CREATE TRIGGER refusal BEFORE INSERT ON mailrelay_message FOR EACH ROW "
            f"WHEN (NEW.subject = '{subject}') EXECUTE FUNCTION refuse()"
        )


def migrated_sqlite(folder: Path) -> Path:
    """Make a database file with its tables, to be copied for each test."""
    environment = base_environment(folder, **NOWHERE)
    folder.mkdir(parents=True, exist_ok=True)
    manage(environment, "migrate", "--verbosity", "0")
    path = folder / "gateway.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def on_sqlite(folder: Path, template: Path) -> OnSQLite:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "gateway.sqlite3")
    return OnSQLite(folder)


def sent(number: int | str = 0, size: int = 0, subject: str | None = None) -> bytes:
    """A mail as a client sends it: `size` bytes of body or a little more."""
    lines = b"y" * 76 + b"\r\n"
    return (
        b"From: app@contoso.test\r\nTo: ann@example.org\r\nDate: Tue, 1 Dec 2026 08:00:00 +0000\r\n"
        + f"Subject: {subject or f'mail {number}'}\r\nMessage-ID: <test-{number}@app.test>\r\n\r\n".encode()
        + f"body of mail {number}\r\n".encode()
        + lines * (size // len(lines))
    )


def hand_in(port: int, content: bytes) -> Talk:
    """Send a mail up to and with its final dot, without waiting for the reply."""
    talk = Talk(port)
    talk.begin("app@contoso.test", "ann@example.org")
    talk.send(content + b".\r\n")
    return talk


def deliver(port: int, content: bytes) -> str:
    """Send one mail; return the reply to it."""
    with hand_in(port, content) as talk:
        return talk.reply()


def queue_id_of(reply: str) -> str:
    assert reply.startswith("250 2.0.0 "), reply
    return reply.rsplit(maxsplit=1)[-1]


def reply_in_time(talk) -> str:
    talk.socket.settimeout(PROMISED + BUSY)
    return talk.reply()


def greeting_of(relay) -> str:
    """What a client that connects now is told first."""
    with Talk(relay.smtp_port, greeting=False) as talk:
        return talk.reply()


def wait_until_mail_is_taken(relay) -> str:
    """Send until a mail is taken, as clients do; return its queue id."""

    def taken() -> bool:
        with Talk(relay.smtp_port, greeting=False) as talk:
            reply = talk.reply()
            if reply.startswith("220"):
                reply = talk.say("EHLO client.test", "MAIL FROM:<app@contoso.test>")
        assert reply[0] in "24", reply
        return reply.startswith("250")

    eventually(taken, 60, "mail being taken")
    return queue_id_of(deliver(relay.smtp_port, sent("after")))


@contextmanager
def frozen(server: Any) -> Iterator[None]:
    """Keep a server from running, its connections open, for as long as the context lasts."""
    server.pause()
    try:
        yield
    finally:
        server.resume()
