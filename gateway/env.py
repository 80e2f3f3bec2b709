"""Settings as data: each environment variable is declared once, and read, checked and documented from that.

A value that cannot be used never raises here: it is noted in `problems`, the default takes its place, and
`gateway.checks` turns the note into a system check that stops the start with one sentence.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from mailrelay import parsing

T = TypeVar("T")
E = TypeVar("E")


@dataclass(frozen=True)
class Declared:
    """One variable as `docs/settings.md` shows it."""

    name: str
    group: str
    kind: str
    default: str
    help: str
    secret: bool = False


@dataclass(frozen=True)
class Problem:
    """Why a variable cannot be used; `id` is the number of its system check."""

    id: str
    message: str
    hint: str


@dataclass
class Environment:
    """Reads declared variables from `source`, and remembers what it declared and what was wrong."""

    source: Mapping[str, str] = field(default_factory=lambda: os.environ)
    declared: dict[str, Declared] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    group: str = ""

    def section(self, name: str) -> None:
        """Start a new heading of the settings page."""
        self.group = name

    def text(self, name: str, default: str = "", *, help: str, shown: str | None = None) -> str:  # noqa: A002 - it is the help
        """Read `NAME` without the blanks around it, which files and manifests bring along unseen."""
        self._declare(name, "text", shown or default, help)
        return self.source.get(name, default).strip()

    def client_secret(self, name: str, *, help: str) -> str:  # noqa: A002
        """Read the value of a client secret of Entra ID."""
        return self.parsed(
            name, "", parsing.client_secret, kind="secret", help=help, fallback="", secret=True
        )

    def secret(self, name: str, *, help: str, default: str = "", shown: str = "") -> str:  # noqa: A002
        """Read `NAME`, or the file that `NAME_FILE` names; one trailing line end is not part of a secret."""
        self._declare(name, "secret", shown or default, help, secret=True)
        path = self.source.get(f"{name}_FILE")
        if not path:
            return self.source.get(name, default).rstrip("\r\n")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self.problem(
                "gateway.E002",
                f"{name}_FILE names {path}, which cannot be read: {reason}.",
                f"Mount the file where this process can read it, or set {name} itself.",
            )
            return default

    def integer(
        self,
        name: str,
        default: int,
        *,
        help: str,  # noqa: A002
        at_least: int = 0,
        at_most: int = 2**63 - 1,
    ) -> int:
        parse = partial(parsing.whole_number, least=at_least, most=at_most)
        return self.parsed(name, str(default), parse, kind="integer", help=help, fallback=default)

    def choice(self, name: str, default: str, choices: tuple[str, ...], *, help: str) -> str:  # noqa: A002
        parse = partial(parsing.one_of, choices=choices)
        return self.parsed(name, default, parse, kind=" / ".join(choices), help=help, fallback=default)

    def flag(self, name: str, default: bool, *, help: str) -> bool:  # noqa: A002
        shown = "true" if default else "false"
        return self.parsed(name, shown, parsing.flag, kind="true / false", help=help, fallback=default)

    def parsed(
        self,
        name: str,
        default: str,
        parse: Callable[[str], T],
        *,
        kind: str,
        help: str,  # noqa: A002
        fallback: T | Any,
        shown: str | None = None,
        secret: bool = False,
    ) -> T:
        """Read `name` through `parse`, which raises ValueError with a sentence.

        What is `secret` (a URL with a password, say) may come as `NAME_FILE`; its sentence does not quote it.
        """
        shown = default if shown is None else shown
        if secret:
            text = self.secret(name, help=help, default=default, shown=shown) or default
            self._declare(name, kind, shown, help, secret=True)
        else:
            self._declare(name, kind, shown, help)
            text = self.source.get(name, "").strip() or default
        try:
            return parse(text)
        except ValueError as error:
            self.problem("gateway.E001", f"{name}: {error}", f"Fix {name}: {help.rstrip('.')}.")
            return cast("T", fallback)

    def optional(
        self,
        name: str,
        parse: Callable[[str], str],
        *,
        help: str,  # noqa: A002
        kind: str = "text",
        shown: str | None = None,
    ) -> str:
        """Read `name` through `parse`; empty where it is not set."""
        read = _unless_empty(parse, "")
        return self.parsed(name, "", read, kind=kind, help=help, fallback="", shown=shown)

    def day(self, name: str, *, help: str) -> date | None:  # noqa: A002
        read = _unless_empty(parsing.day, None)
        return self.parsed(name, "", read, kind="date", help=help, fallback=None)

    def problem(self, id: str, message: str, hint: str) -> None:  # noqa: A002 - Django's own word for it
        self.problems.append(Problem(id, message, hint))

    def _declare(self, name: str, kind: str, default: str, help: str, *, secret: bool = False) -> None:  # noqa: A002
        self.declared[name] = Declared(name, self.group, kind, default, help, secret)


def _unless_empty(parse: Callable[[str], T], nothing: E) -> Callable[[str], T | E]:
    """Give what reads a value that may be left out."""
    return lambda text: parse(text) if text else nothing
