"""Measures the console's pages with a million messages on record.

    python -m scripts.bench.console [--messages 1000000] [--rounds 20] [--only sqlite]

Builds the database, on SQLite and, where its programs are, on PostgreSQL, and asks for each page through
Django's handlers, with another term each time. Prints the median and the 95th percentile of each, and the
processor time a page, PostgreSQL's included: that is what no other load of the machine moves much.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

BAR_MS = 200
#: By the name of a page: the seconds of each request, and the processor seconds of all of them.
Pages = dict[str, tuple[list[float], float]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the console's pages.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="sqlite,postgresql", help="of sqlite, postgresql")
    parser.add_argument(
        "--keep", type=Path, help="a directory for the database of SQLite, kept and used again"
    )
    arguments = parser.parse_args()
    results: dict[str, Pages] = {}
    for name in arguments.only.split(","):
        with ExitStack() as stack:
            environment = _environment(name, stack, arguments.keep)
            if environment is not None:
                results[name] = _measure(environment, arguments.messages, arguments.rounds)
    _report(results, arguments.messages)


def _environment(name: str, stack: ExitStack, keep: Path | None) -> dict[str, str] | None:
    folder = str(keep) if keep else stack.enter_context(tempfile.TemporaryDirectory(prefix="console-bench-"))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings", "DATA_DIR": folder}
    environment.pop("DATABASE_URL", None)
    if name == "sqlite":
        return environment
    if not (shutil.which("postgres") or list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))):
        print("PostgreSQL is left out: its programs are not on this machine.")
        return None
    from tests.harness.processes import FIELD_KEY, SECRET_KEY
    from tests.harness.services import PostgreSQL

    server = PostgreSQL()
    stack.callback(server.close)
    keys = {"DJANGO_SECRET_KEY": SECRET_KEY, "FIELD_ENCRYPTION_KEYS": FIELD_KEY}
    return {**environment, **keys, "DATABASE_URL": server.database()}


def _measure(environment: dict[str, str], messages: int, rounds: int) -> Pages:
    """Measure in a process of its own: Django's settings are of one database."""
    command = [sys.executable, "-m", "scripts.bench.million", str(messages), str(rounds)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: Pages = json.loads(done.stdout.splitlines()[-1])
    return found


def _report(results: dict[str, Pages], messages: int) -> None:
    print(f"\nThe console with {messages:,} messages, milliseconds a page, beside a bar of {BAR_MS}")
    names = list(next(iter(results.values()), {}))
    heads = "".join(f"{name + ' p50':>16}{'p95':>8}{'CPU':>8}" for name in results)
    print(f"  {'':36}{heads}")
    for page in names:
        print(f"  {page:36}" + "".join(map(_cells, (pages[page] for pages in results.values()))))


def _cells(page: tuple[list[float], float]) -> str:
    times, cpu = page
    middle, high = _percentiles(times)
    return f"{middle:>16.0f}{high:>8.0f}{cpu / len(times) * 1000:>8.0f}"


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.95 - 0.5)] * 1000


if __name__ == "__main__":
    main()
