"""`docs/settings.md`, made from what `gateway.settings` declares."""

from itertools import groupby

from gateway.env import Declared
from gateway.settings import BASE_DIR, ENV

PATH = BASE_DIR / "docs" / "settings.md"
HEADING = """\
# Settings

Everything is set by environment variables. This page is made from their declarations in
`gateway/settings.py` by `manage.py settingsdoc`; edit it there.

A variable whose value cannot be used stops the start with a sentence; `manage.py check` says the same
without starting, and `manage.py doctor` also looks at what the values lead to.

**Secrets.** For each variable that is marked *secret*, `NAME_FILE` may name a file that holds the value
instead, as Docker and Kubernetes mount secrets. One line end at the end of the file is not part of the
value. Where both are set, the file counts.
"""
LIBRARIES = """\
## Read by the libraries

These are not the gateway's own; the connections to Entra ID and Graph honour them.

| Variable | What it is |
|---|---|
| `HTTPS_PROXY` | Proxy for the connections to Microsoft, as `http://host:port` |
| `NO_PROXY` | Comma-separated hosts that are reached without it |
| `REQUESTS_CA_BUNDLE` | PEM file of the certificate authorities to trust instead of the usual ones |
"""
COLUMNS = "| Variable | Kind | Default | What it is |\n|---|---|---|---|"


def page() -> str:
    """Write the page."""
    groups = groupby(ENV.declared.values(), key=lambda declared: declared.group)
    sections = [f"## {name}\n\n{COLUMNS}\n{_rows(list(group))}\n" for name, group in groups]
    return "\n".join([HEADING, *sections, LIBRARIES])


def is_current() -> bool:
    """Whether the page in the repository is what the declarations make."""
    return PATH.exists() and PATH.read_text(encoding="utf-8") == page()


def _rows(declared: list[Declared]) -> str:
    return "\n".join(_row(variable) for variable in declared)


def _row(variable: Declared) -> str:
    kind = variable.kind if not variable.secret or variable.kind == "secret" else f"{variable.kind}, secret"
    cells = (f"`{variable.name}`", kind, _default(variable.default), f"{variable.help.rstrip('.')}.")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(text: str) -> str:
    """Show a default as code, unless it is words with code of their own."""
    if not text:
        return "–"
    return text if "`" in text or text.startswith("this ") else f"`{text}`"
