"""Measures taking mail: this gateway beside Postfix and beside aiosmtpd, in interleaved rounds.

    python -m scripts.bench.accept [--rounds 5] [--only gateway,postfix] [--load small-20-kept,large-1-kept]

Needs `smtp-source` and `postfix` (Debian: postfix), and root for Postfix's own instance. The gateway and
Postfix answer 250 once the mail is on the disk; aiosmtpd stores nothing. A load is a size (small: 4 KiB;
direct: 3 MB, the most that Graph takes in one request; large: 25 MB with an attachment), the connections
at a time, and whether a connection is kept for the next mail or is new for each.
"""

import argparse
import base64
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.listeners import AllInOne, Listener, Ours, Postfix, Stock
from scripts.bench.measuring import median, spread

LISTENERS = {each.name: each for each in (Ours, AllInOne, Postfix, Stock)}
BAR = 1.5


@dataclass(frozen=True)
class Load:
    """What `smtp-source` sends: `mails` of `size` bytes through `sessions` connections."""

    kind: str
    mails: int
    size: int
    sessions: int
    #: Leave sessions open between mails (-d), as applications with a pool do.
    kept: bool

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.sessions}-{'kept' if self.kept else 'new'}"

    def send(self, port: int, content: Path | None) -> float:
        """Send all, of `content` if there is one; return the seconds it took."""
        command = [
            *("smtp-source", "-s", str(self.sessions), "-m", str(self.mails)),
            *(["-F", str(content)] if content else ["-l", str(self.size)]),
            *(["-d"] if self.kept else []),
            *("-f", "app@contoso.test", "-t", "ann@example.org", f"127.0.0.1:{port}"),
        ]
        started = time.monotonic()
        subprocess.run(command, check=True)
        return time.monotonic() - started

    @property
    def megabytes(self) -> float:
        return self.mails * self.size / 1e6


def _loads(kind: str, size: int, one: int, new: int, kept: int) -> list[Load]:
    return [
        Load(kind, one, size, 1, kept=False),
        Load(kind, one, size, 1, kept=True),
        Load(kind, new, size, 20, kept=False),
        Load(kind, kept, size, 20, kept=True),
    ]


SIZES = {"small": 4096, "direct": 3_000_000, "large": 25_000_000}
LOADS = {
    load.name: load
    for load in (
        *_loads("small", SIZES["small"], one=1000, new=2000, kept=5000),
        *_loads("large", SIZES["large"], one=8, new=20, kept=20),
        Load("direct", 60, SIZES["direct"], 4, kept=True),
    )
}
DEFAULT = [name for name in LOADS if not name.startswith("direct")]


def with_attachment(size: int, folder: Path) -> Path:
    """Write a mail of `size` bytes, nearly all of it a file in base64, with the line ends of a Unix text."""
    line = base64.b64encode(os.urandom(57)) + b"\n"
    head = (
        b"From: app@contoso.test\nTo: ann@example.org\nSubject: large\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nSee the file.\n"
        b"--b\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n"
    )
    path = folder / f"mail-{size}"
    path.write_bytes(head + line * (size // (len(line) + 1)) + b"--b--\n")
    return path


@dataclass(frozen=True)
class Result:
    rate: float
    megabytes: float
    cpu: float
    commits: float | None


def measure(listener: Listener, load: Load, content: Path | None) -> Result:
    commits, cpu = listener.commits(), listener.cpu()
    seconds = load.send(listener.port, content)
    cpu = listener.cpu() - cpu
    after = listener.commits()
    shared = None if after is None or commits is None else (after - commits) / load.mails
    return Result(load.mails / seconds, load.megabytes / seconds, cpu / load.mails * 1000, shared)


def report(load: Load, results: dict[str, list[Result]]) -> None:
    print(f"\n{load.name}: {load.mails} mails of {load.size} bytes, {load.sessions} sessions, medians")
    print(f"  {'':12}{'mails/s':>10}{'lowest-highest':>16}{'MB/s':>8}{'CPU ms/mail':>13}{'commits/mail':>14}")
    for name, rounds in results.items():
        rates = [result.rate for result in rounds]
        commits = [result.commits for result in rounds if result.commits is not None]
        print(
            f"  {name:12}{median(rates):>10,.0f}{spread(rates):>16}"
            f"{median([result.megabytes for result in rounds]):>8,.0f}"
            f"{median([result.cpu for result in rounds]):>13.2f}"
            f"{f'{median(commits):.3f}' if commits else '-':>14}"
        )
    if "postfix" in results:
        for name in results.keys() & {Ours.name, AllInOne.name}:
            pairs = zip(results[name], results["postfix"], strict=True)
            ratio = median([ours.rate / theirs.rate for ours, theirs in pairs])
            print(f"  {name} / postfix: {ratio:.2f} (bar {BAR})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast mail is taken.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="gateway,postfix,aiosmtpd", help=f"of {', '.join(LISTENERS)}")
    parser.add_argument("--load", default=",".join(DEFAULT), help=f"of {', '.join(LOADS)}")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    if not shutil.which("smtp-source"):
        sys.exit("smtp-source is not on this machine: install postfix (Debian: apt-get install postfix).")
    chosen = [LISTENERS[name] for name in arguments.only.split(",")]
    if Postfix in chosen and (os.getuid() != 0 or not shutil.which("postfix")):
        print("Postfix is left out: its own instance needs root and the postfix program.")
        chosen.remove(Postfix)
    with ExitStack() as stack:
        listeners = [stack.enter_context(kind()) for kind in chosen]
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for load in (LOADS[name] for name in arguments.load.split(",")):
            content = with_attachment(load.size, folder) if load.kind == "large" else None
            results: dict[str, list[Result]] = defaultdict(list)
            for number in range(arguments.rounds):
                # Each begins a round in its turn, since the first finds the machine at rest.
                turn = number % len(listeners)
                for listener in listeners[turn:] + listeners[:turn]:
                    results[listener.name].append(measure(listener, load, content))
            report(load, {listener.name: results[listener.name] for listener in listeners})


if __name__ == "__main__":
    main()
