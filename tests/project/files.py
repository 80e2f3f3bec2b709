"""The project's own files, without what tools and runs leave beside them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "gateway",
    "mailrelay",
    "sandbox",
    "scripts",
    "tests",
    "docs",
    "deploy",
    "docker",
    "requirements",
    ".ci",
    "benchmarks",
)


def files(*suffixes: str, under: tuple[str, ...] = FOLDERS) -> list[Path]:
    """List files with one of `suffixes` (all without any), those at the top included."""
    found = [
        path for name in under for path in sorted((ROOT / name).rglob("*")) if "__pycache__" not in path.parts
    ]
    if under is FOLDERS:
        found += sorted(
            path for path in ROOT.iterdir() if path.name != ".git" and not path.name.startswith(".env")
        )
    return [path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that `path` imports at any depth, those for type checkers alone included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
