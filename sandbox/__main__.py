"""`python -m sandbox`: start the sandbox and serve until SIGTERM, SIGINT or the parent's end."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.running import Options, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def add_arguments(parser: argparse.ArgumentParser, data_dir: Path | None = None) -> None:
    """The options, shared with `manage.py runsandbox`; without a `data_dir` that one must be given."""
    parser.add_argument("--host", default="127.0.0.1", help="address of the https and page sites")
    parser.add_argument("--port", type=int, default=8443, help="https port of Entra and Graph; 0: a free one")
    parser.add_argument(
        "--upload-port", type=int, default=0, help="https port of upload sessions; 0: a free one"
    )
    parser.add_argument("--page-port", type=int, default=8025, help="http port of the page; 0: a free one")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="another host name that clients use (goes into the certificate); may be given several times",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=data_dir,
        required=data_dir is None,
        help="directory for ca.pem, sandbox.pem and sandbox.json, made if missing",
    )
    parser.add_argument(
        "--ledger", type=Path, help="JSON-lines file of decisions; default ledger.jsonl there"
    )
    parser.add_argument("--keep", type=int, default=2000, help="how many delivered mails stay in memory")
    parser.add_argument("--keep-mib", type=int, default=200, help="and how many MiB of them")
    parser.add_argument("--world", type=Path, help="JSON file merged into the default tenant (RFC 7396)")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process has ended")


def options_of(arguments: Mapping[str, Any]) -> Options:
    return Options(**{name: arguments[name] for name in Options.__dataclass_fields__})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A stand-in for Entra ID and Microsoft Graph on this machine. Nothing leaves it.",
    )
    add_arguments(parser)
    return run(options_of(vars(parser.parse_args(argv))))


if __name__ == "__main__":
    sys.exit(main())
