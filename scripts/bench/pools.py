"""Celery's pools side by side, four deliveries at once in each: memory, mails a second, and how they end.

    python -m scripts.bench.pools [--mails 400] [--rounds 3]

A worker on PostgreSQL and Redis; the sandbox answers after 0.1 s. Memory is PSS of all its processes: what is
shared counts once. The end is SIGTERM amid a backlog: the seconds until the last process is gone, what is
uncertain then, and what a second worker makes of the rest.
"""

import argparse
import os
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from scripts.bench.delivery import installation
from scripts.bench.measuring import _descendants, cpu_seconds, median
from tests.harness.ports import eventually
from tests.harness.processes import Worker, mail, rows, send
from tests.harness.stacks import REDIS, Stack

POOLS = ("prefork", "threads")
AT_ONCE = 4
LATENCY = 100  # ms
#: `--pool prefork` is Celery's default, and as such gives way to the configured pool.
START = """
from gateway.celery import app
app.conf.worker_pool = "{pool}"
app.worker_main(["worker", "--loglevel", "WARNING", "--concurrency", "{at_once}"])
"""


def memory(pid: int) -> float:
    """MiB of a process and its descendants, shared pages in proportion."""
    total = 0
    for each in (pid, *_descendants(pid)):
        with suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def started(stack: Stack, pool: str) -> Worker:
    worker = stack.worker()
    worker.command = ("-c", START.format(pool=pool, at_once=AT_ONCE))
    return worker.start()


def sent(stack: Stack) -> int:
    return stack.states().get("sent", 0)


def measure(pool: str, mails: int) -> dict[str, float]:
    with ExitStack() as entered:
        stack = entered.enter_context(installation(REDIS, SENDER_CONCURRENCY="0", LEASE_SECONDS="10"))
        stack.migrate()
        stack.sandbox.fault("sendMail", "latency", ms=LATENCY, times=None)
        stack.sandbox.world(limits={"concurrency": 100})
        port = stack.listener().start().smtp_port
        worker = started(stack, pool)
        send(port, mail(0))
        stack.wait_for(sent=1)
        found = {"idle MiB": memory(worker.process.pid)}
        for number in range(1, mails + 1):
            send(port, mail(number))
        before, cpu, at = sent(stack), cpu_seconds(worker.process.pid), time.monotonic()
        eventually(lambda: sent(stack) >= mails // 2, 300, "half of the mail")
        found["busy MiB"] = memory(worker.process.pid)
        done, took = sent(stack) - before, time.monotonic() - at
        found["mails/s"] = done / took
        found["CPU ms a mail"] = 1000 * (cpu_seconds(worker.process.pid) - cpu) / max(done, 1)
        found["seconds to end"] = ended(worker)
        found["uncertain"] = uncertain(stack)
        started(stack, pool)
        eventually(lambda: not open_mail(stack), 300, "the rest being sent")
        found["uncertain in the end"] = uncertain(stack)
        return found


def ended(worker: Worker) -> float:
    """SIGTERM, as an orchestrator sends it to the first process; seconds until all of the group are gone."""
    process, at = worker.process, time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    process.wait(60)
    with suppress(ProcessLookupError, AssertionError):
        eventually(lambda: not group_lives(process.pid), 60, "the end of the group")
    worker.process = None
    return time.monotonic() - at


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def uncertain(stack: Stack) -> float:
    found = rows(stack.environment, "SELECT COUNT(*) FROM mailrelay_sendlog WHERE outcome = 'uncertain'")
    return float(found[0][0])


def open_mail(stack: Stack) -> bool:
    return bool(set(stack.states()) & {"queued", "reserved", "sending", "uncertain"})


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the pools of a Celery worker.")
    parser.add_argument("--mails", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {pool: [] for pool in POOLS}
    for _ in range(options.rounds):
        for pool in POOLS:
            found[pool].append(measure(pool, options.mails))
            print(pool, {name: round(value, 1) for name, value in found[pool][-1].items()}, flush=True)
    for name in found[POOLS[0]][0]:
        print(name, {pool: round(median([each[name] for each in found[pool]]), 1) for pool in POOLS})


if __name__ == "__main__":
    main()
