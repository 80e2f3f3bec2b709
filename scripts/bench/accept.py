"""How fast mail is taken: this gateway beside Postfix and beside aiosmtpd, in interleaved rounds.

    python -m scripts.bench.accept [--rounds 5] [--only gateway,postfix] [--load small,large]

Needs `smtp-source` and `postfix` (Debian: postfix), and root for Postfix's own instance. The gateway and
Postfix answer 250 once the mail is on the disk; aiosmtpd stores nothing. The large load is 3 MB a mail:
above what Graph takes in one request this version answers 552.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass

from scripts.bench.listeners import AllInOne, Listener, Ours, Postfix, Stock
from scripts.bench.measuring import median, spread

LISTENERS = {each.name: each for each in (Ours, AllInOne, Postfix, Stock)}
BAR = 1.5


@dataclass(frozen=True)
class Load:
    """What `smtp-source` sends: `mails` of `size` bytes through `sessions` connections."""

    name: str
    mails: int
    size: int
    sessions: int
    #: Leave sessions open between mails (-d), as applications with a pool do.
    reuse: bool = True

    def send(self, port: int) -> float:
        """Send all; return the seconds it took."""
        command = [
            *("smtp-source", "-s", str(self.sessions), "-m", str(self.mails), "-l", str(self.size)),
            *(["-d"] if self.reuse else []),
            *("-f", "app@contoso.test", "-t", "ann@example.org", f"127.0.0.1:{port}"),
        ]
        started = time.monotonic()
        subprocess.run(command, check=True)
        return time.monotonic() - started

    @property
    def megabytes(self) -> float:
        return self.mails * self.size / 1e6


LOADS = {
    load.name: load
    for load in (
        Load("small", mails=5000, size=4096, sessions=20),
        Load("connect", mails=2000, size=4096, sessions=20, reuse=False),
        Load("large", mails=60, size=3_000_000, sessions=4),
    )
}


@dataclass(frozen=True)
class Result:
    rate: float
    megabytes: float
    cpu: float
    commits: float | None


def measure(listener: Listener, load: Load) -> Result:
    commits, cpu = listener.commits(), listener.cpu()
    seconds = load.send(listener.port)
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
    parser.add_argument("--load", default="small,large", help=f"of {', '.join(LOADS)}")
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
        for load in (LOADS[name] for name in arguments.load.split(",")):
            results: dict[str, list[Result]] = defaultdict(list)
            for number in range(arguments.rounds):
                # Each begins a round in its turn, since the first finds the machine at rest.
                turn = number % len(listeners)
                for listener in listeners[turn:] + listeners[:turn]:
                    results[listener.name].append(measure(listener, load))
            report(load, {listener.name: results[listener.name] for listener in listeners})


if __name__ == "__main__":
    main()
