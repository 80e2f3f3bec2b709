"""Settings as data: each environment variable is declared once, and read, checked and documented from that.

A value that cannot be used never raises here: it is noted in `problems`, the default takes its place, and
`gateway.checks` turns the note into a system check that stops the start with one sentence.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What the word `private` stands for: RFC 1918, RFC 6598 (carrier NAT), RFC 4193 (IPv6 ULA).
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")


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

    def integer(self, name: str, default: int, *, help: str, at_least: int = 0) -> int:  # noqa: A002
        def parse(text: str) -> int:
            value = int(text)
            if value < at_least:
                raise ValueError(f"must be at least {at_least}")
            return value

        return self.parsed(name, str(default), parse, kind="integer", help=help, fallback=default)

    def choice(self, name: str, default: str, choices: tuple[str, ...], *, help: str) -> str:  # noqa: A002
        def parse(text: str) -> str:
            if text not in choices:
                raise ValueError("must be one of " + ", ".join(choices))
            return text

        return self.parsed(name, default, parse, kind=" / ".join(choices), help=help, fallback=default)

    def flag(self, name: str, default: bool, *, help: str) -> bool:  # noqa: A002
        words = {"1": True, "true": True, "yes": True, "on": True}
        words |= {"0": False, "false": False, "no": False, "off": False}

        def parse(text: str) -> bool:
            if text.lower() not in words:
                raise ValueError("must be true or false")
            return words[text.lower()]

        shown = "true" if default else "false"
        return self.parsed(name, shown, parse, kind="true / false", help=help, fallback=default)

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
        """Read `name` through `parse`, which raises ValueError with the end of a sentence.

        What is `secret` (a URL with a password, say) may come as `NAME_FILE`, and is not quoted back.
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
            reason = str(error) if not str(error).startswith("invalid literal") else "must be a whole number"
            said = "cannot be used" if secret else f"is {text!r}"
            self.problem("gateway.E001", f"{name} {said}: it {reason}.", f"Mend {name}: {help.rstrip('.')}.")
            return cast("T", fallback)

    def optional(self, name: str, parse: Callable[[str], str], *, help: str, kind: str = "text") -> str:  # noqa: A002
        """Read `name` through `parse`; empty where it is not set."""
        return self.parsed(name, "", parse, kind=kind, help=help, fallback="")

    def problem(self, id: str, message: str, hint: str) -> None:  # noqa: A002 - Django's own word for it
        self.problems.append(Problem(id, message, hint))

    def _declare(self, name: str, kind: str, default: str, help: str, *, secret: bool = False) -> None:  # noqa: A002
        self.declared[name] = Declared(name, self.group, kind, default, help, secret)


def day(text: str) -> date | None:
    """Parse a day such as 2027-03-31; nothing is None. Raises ValueError with the end of a sentence."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day such as 2027-03-31") from None


def networks(text: str) -> tuple[Network, ...]:
    """Parse comma-separated CIDRs; the words `private` and `loopback` stand for their ranges.

    Raises ValueError with the end of a sentence that names the part that is wrong.
    """
    found: list[Network] = []
    for word in (part.strip() for part in text.split(",") if part.strip()):
        known = {"private": PRIVATE_NETWORKS, "loopback": LOOPBACK_NETWORKS}.get(word, (word,))
        for cidr in known:
            try:
                found.append(ipaddress.ip_network(cidr))
            except ValueError:
                raise ValueError(f"has {word!r}, which is not a network such as 192.0.2.0/24") from None
    return tuple(found)
