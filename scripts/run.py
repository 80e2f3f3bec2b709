"""`make run`: the gateway in one process, with the variables of `.env` where the environment has none.

The file is read as container tools read theirs: a NAME=value a line, the value taken as it stands (a `$`
in a secret is a `$`), one pair of quotes around it removed, lines that begin with # left out.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def variables(text: str) -> dict[str, str]:
    """Read the text of a `.env` file. Raises ValueError with the line that is not NAME=value."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().removeprefix("export ")  # noqa: PLW2901 - the line as meant
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ValueError(f"line {number} is not NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def main() -> None:
    file = ROOT / ".env"
    if file.is_file():
        try:
            os.environ.update(variables(file.read_text(encoding="utf-8")) | os.environ)
        except (OSError, ValueError) as error:
            sys.exit(f"{file} cannot be used: {error}.")
    os.execv(sys.executable, [sys.executable, str(ROOT / "manage.py"), "rungateway"])  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
