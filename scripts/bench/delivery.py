"""Measures sending: end to end beside a bare loop of requests, at Graph's pace, and from an idle queue.

    python -m scripts.bench.delivery [--only end-to-end,drain,idle,claim] [--stacks embedded,redis,rabbitmq]

Every number stands beside its bar (docs/benchmarks.md). The ceiling is four threads that post the same mail
to the same sandbox with `requests` and nothing around it, measured in the same run.
"""

import argparse
import base64
import os
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from psycopg import connect as connected

from sandbox.client import SandboxProcess
from sandbox.world import TENANT
from scripts.bench.measuring import cpu_seconds, median
from tests.harness.processes import GatewayProcess, as_sent, mail, manage
from tests.harness.services import PostgreSQL, RabbitMQ, Redis
from tests.harness.stacks import EMBEDDED, RABBITMQ, REDIS, Stack, environment_of

BARS = {EMBEDDED: 0.25, REDIS: 0.4, RABBITMQ: 0.4}
BROKERS = {REDIS: Redis, RABBITMQ: RabbitMQ}
NAMES = {"embedded": EMBEDDED, "redis": REDIS, "rabbitmq": RABBITMQ}
UNLIMITED = {
    "requests": 0,
    "upload_bytes": 0,
    "messages_per_minute": 0,
    "recipients_per_day": 0,
    "external_recipients_per_day": 0,
}
TOKEN_FORM = {
    "client_id": "22222222-2222-2222-2222-222222222222",
    "client_secret": "sandbox-secret",
    "grant_type": "client_credentials",
    "scope": "https://graph.microsoft.com/.default",
}
MAILBOX = "gateway@contoso.test"
#: The registration of those whose limits are not the environment's.
APP = """
apps:
- name: bench
  tenant_id: {tenant}
  client_id: {client}
  cloud: ""
  authority_host: {url}
  graph_endpoint: {url}
  secret: {{env: AZURE_CLIENT_SECRET}}
"""
#: What twenty mailboxes with four requests of 0.3 s each in flight carry, mails a second.
MOST = 266.0


@contextmanager
def installation(kind: str, **environment: str) -> Iterator[Stack]:
    """Give one installation with a sandbox of its own, both gone afterwards."""
    with ExitStack() as entered:
        folder = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        sandbox = entered.enter_context(SandboxProcess(folder / "sandbox"))
        sandbox.world(limits=UNLIMITED)
        database = broker = None
        if kind != EMBEDDED:
            database, broker = PostgreSQL(), BROKERS[kind]()
            entered.callback(database.close)
            entered.callback(broker.close)
        urls = (database.database(), broker.url) if database and broker else ("", "")
        variables = environment_of(folder / "data", sandbox, *urls, LOG_LEVEL="WARNING", **environment)
        stack = Stack(kind, variables, sandbox, broker, database)
        entered.enter_context(stack.entered)
        yield stack


def send_many(port: int, count: int, first: int, addresses: Sequence[str] = ("app@contoso.test",)) -> None:
    """Send mails over one connection, from each of the addresses in turn."""
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
        for number in range(first, first + count):
            address = addresses[number % len(addresses)]
            client.sendmail(address, ["ann@example.org"], as_sent(mail(number, size=3000, From=address)))


def send_at_once(port: int, count: int, addresses: Sequence[str] = ("app@contoso.test",)) -> float:
    """Send mails over eight connections; return the seconds until the last `250`."""
    parts = [(port, count // 8, part * count, addresses) for part in range(8)]
    return at_once(*(threading.Thread(target=send_many, args=part) for part in parts))


def at_once(*calls: threading.Thread) -> float:
    """Run the threads to their end; return the seconds."""
    started = time.monotonic()
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    return time.monotonic() - started


def ceiling(sandbox: SandboxProcess, count: int) -> float:
    """Return the mails a second of four threads with nothing but `requests`."""
    reply = requests.post(
        f"{sandbox.base_url}/{TENANT}/oauth2/v2.0/token",
        data=TOKEN_FORM,
        verify=sandbox.ca_file,
        timeout=30,
    )
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}", "Content-Type": "text/plain"}
    body = base64.b64encode(as_sent(mail("ceiling", size=3000, From=MAILBOX)))

    def post() -> None:
        with requests.Session() as session:
            session.trust_env, session.verify = False, sandbox.ca_file
            for _ in range(count // 4):
                url = f"{sandbox.base_url}/v1.0/users/{MAILBOX}/sendMail"
                session.post(url, data=body, headers=headers, timeout=60).raise_for_status()

    return count / at_once(*(threading.Thread(target=post) for _ in range(4)))


def wait_until_sent(stack: Stack, count: int, timeout: float = 300.0) -> None:
    end = time.monotonic() + timeout
    while stack.states().get("sent", 0) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"sent {stack.states()} of {count} in {timeout} s")
        time.sleep(0.1)


def end_to_end(kind: str, count: int = 1200) -> float:
    """Return the mails a second from SMTP to the sandbox, no Graph latency, against the ceiling."""
    with installation(kind, SENDER_CONCURRENCY="0", SENDER_MESSAGES_PER_MINUTE="0") as stack:
        stack.sandbox.world(limits={"concurrency": 0})
        most = ceiling(stack.sandbox, count)
        listener = stack.start()
        cpu, commits, started = cpu_of(stack), commits_of(stack, listener), time.monotonic()
        offered = count / send_at_once(listener.smtp_port, count)
        wait_until_sent(stack, count)
        rate = count / (time.monotonic() - started)
        cpu, commits = cpu_of(stack) - cpu, commits_of(stack, listener) - commits
    verdict = "met" if rate / most >= BARS[kind] else "missed"
    print(
        f"end to end, {kind}: {rate:.0f}/s of a ceiling of {most:.0f}/s = {rate / most:.2f} "
        f"(bar {BARS[kind]}, {verdict}); taken at {offered:.0f}/s; a mail costs {1000 * cpu / count:.1f} ms "
        f"of CPU, database and broker included, and {commits / count:.1f} commits",
        flush=True,
    )
    return rate


def cpu_of(stack: Stack) -> float:
    """Processor seconds of everything but this process and the sandbox."""
    own = sum(os.times()[:2])
    return cpu_seconds(os.getpid()) - own - cpu_seconds(stack.sandbox.pid)


def commits_of(stack: Stack, listener: GatewayProcess) -> float:
    """Commits so far: of SQLite's writer, or of PostgreSQL."""
    if stack.embedded:
        return listener.metrics().get("graph_smtp_writer_batch_count", 0.0)
    with connected(stack.environment["DATABASE_URL"]) as connection:
        return float(connection.execute("SELECT SUM(xact_commit) FROM pg_stat_database").fetchone()[0])


def drain(kind: str, workers: int, mailboxes: int = 1, count: int = 1000, most: float = 13.3) -> None:
    """Graph at 0.3 s, four in flight a mailbox: the rate against `most`, and refusals that we caused.

    The time is that from the first mail handed in to the last one sent. Many mailboxes need threads enough
    for all that may be in flight: four each.
    """
    more = {} if mailboxes == 1 else {"DELIVERY_THREADS": str(4 * mailboxes // workers + 4)}
    with installation(kind, SENDER_CONCURRENCY="4", SENDER_MESSAGES_PER_MINUTE="0", **more) as stack:
        addresses = [MAILBOX] if mailboxes == 1 else many(stack, mailboxes)
        stack.sandbox.world(behaviour={"latency_ms": 300})
        listener = stack.start()
        for _ in range(workers - 1 if not stack.embedded else 0):
            stack.worker().start()
        started = time.monotonic()
        send_at_once(listener.smtp_port, count, addresses)
        wait_until_sent(stack, count)
        rate = count / (time.monotonic() - started)
        refused = [entry for entry in stack.sandbox.ledger() if entry.get("status") == 429]
    verdict = "met" if rate >= 0.95 * most and not refused else "missed"
    print(
        f"drain, {kind}, {mailboxes} mailbox(es), {workers} worker(s): {rate:.1f}/s of {most:.1f}/s = "
        f"{rate / most:.2f} (bar 0.95, {verdict}); 429 caused: {len(refused)}",
        flush=True,
    )


def many(stack: Stack, count: int) -> list[str]:
    """Make `count` mailboxes at the sandbox, each with a sender of its own; return their addresses."""
    addresses = [f"box{number}@contoso.test" for number in range(count)]
    stack.sandbox.world(mailboxes={address: {"tenant": TENANT} for address in addresses})
    stack.migrate()
    if stack.embedded:
        manage(stack.environment, "migrate", "--verbosity", "0")
    boxes = "".join(
        f"- {{app: bench, address: {address}, concurrency: 4, messages_per_minute: 0}}\n"
        for address in addresses
    )
    senders = "".join(
        f"- {{name: {address}, app: bench, mailbox: {address}, addresses: [{address}]}}\n"
        for address in addresses
    )
    app = APP.format(tenant=TENANT, client=TOKEN_FORM["client_id"], url=stack.sandbox.base_url)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(f"{app}mailboxes:\n{boxes}senders:\n{senders}")
        file.flush()
        manage(stack.environment, "config", "apply", file.name)
    return addresses


def idle(kind: str, rounds: int = 200, warm: int = 5) -> None:
    """From the 250 to the request's arrival at the sandbox, one mail at a time, in milliseconds.

    The first few have a token fetched and a connection made, and do not count.
    """
    with installation(kind, SENDER_MESSAGES_PER_MINUTE="0") as stack:
        listener = stack.start()
        waits = []
        with smtplib.SMTP("127.0.0.1", listener.smtp_port, timeout=60) as client:
            for number in range(warm + rounds):
                client.sendmail("app@contoso.test", ["ann@example.org"], as_sent(mail(number)))
                told = time.time()
                wait_until_sent(stack, number + 1)
                arrived = stack.sandbox.deliveries(after=number)[0]["time"]
                waits.append(max(0.0, _seconds(arrived) - told) * 1000)
        waits = sorted(waits[warm:])
    p50, p99 = median(waits), waits[int(len(waits) * 0.99) - 1]
    verdict = "met" if p50 <= 50 and p99 <= 200 else "missed"
    print(f"idle, {kind}: p50 {p50:.0f} ms, p99 {p99:.0f} ms (bars 50 and 200, {verdict})", flush=True)


def _seconds(at: str | float) -> float:
    from datetime import datetime

    return at if isinstance(at, float) else datetime.fromisoformat(at).timestamp()


def claim(kind: str) -> None:
    """What a claim costs the database behind a backlog, and beside paused mailboxes."""
    with ExitStack() as entered:
        folder = entered.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-"))
        environment = {"DATA_DIR": folder}
        if kind != EMBEDDED:
            database = PostgreSQL()
            entered.callback(database.close)
            environment |= environment_of(Path(folder), None, database.database(), "redis://127.0.0.1:1/0")
        # A process of its own: one has one database.
        done = subprocess.run(
            [sys.executable, "-m", "scripts.bench.backlog"], env=os.environ | environment, check=True
        )
    assert done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="claim,idle,drain,end-to-end")
    parser.add_argument("--stacks", default="embedded,redis,rabbitmq")
    parser.add_argument("--count", type=int, default=1200, help="mails of the end-to-end part")
    chosen = parser.parse_args()
    stacks = [NAMES[name] for name in chosen.stacks.split(",")]
    only = chosen.only.split(",")
    if "claim" in only:
        for kind in dict.fromkeys(EMBEDDED if kind == EMBEDDED else REDIS for kind in stacks):
            claim(kind)
    for kind in stacks:
        rate = end_to_end(kind, chosen.count) if "end-to-end" in only else MOST
        if "idle" in only:
            idle(kind)
        if "drain" in only:
            for workers in (1,) if kind == EMBEDDED else (1, 4):
                drain(kind, workers)
            drain(kind, 1, mailboxes=20, most=min(MOST, rate))


if __name__ == "__main__":
    main()
