"""Regular expressions mean the same on every Python that the project promises.

CPython before 3.11.5 keeps what a failed round of a possessive group had matched (gh-106052, gh-100061).
A possessive single character or class is right there, and so is an atomic group.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

from tests.project.files import ROOT, files, name_of

WITH_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+")


def texts(source: str) -> Iterator[str]:
    """Yield every literal of `source`; of an f-string its own words."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)


def possessive_groups(pattern: re.Pattern) -> bool:
    """Whether something longer than one character is repeated possessively."""
    parsed = [re._parser.parse(pattern.pattern, pattern.flags & ~re.LOCALE)]
    while parsed:
        for operation, arguments in parsed.pop():
            if operation is re._constants.POSSESSIVE_REPEAT and not re._compiler._simple(arguments[2]):
                return True
            parsed += [piece for piece in flat(arguments) if isinstance(piece, re._parser.SubPattern)]
    return False


def flat(arguments: object) -> Iterator[object]:
    if isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from flat(argument)
    else:
        yield arguments


def compiled(package: str) -> dict[str, re.Pattern]:
    """Collect the expressions that the modules of `package` keep; but for those that start something."""
    found = {}
    for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
        if "migrations" in module.name or module.name == "gateway.wsgi":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
    return found


@pytest.mark.parametrize(
    "pattern",
    ["(?:ab)*+", "(ab)++", "(?:ab)?+", "(?:ab){2,3}+", "x(?:y|(?:ab)*+)", "(?>(?:ab)*+)", "(?=(?:ab)*+)"],
)
def test_a_possessive_group_is_found(pattern):
    assert possessive_groups(re.compile(pattern))
    assert WITH_GROUP.search(pattern)


@pytest.mark.parametrize("pattern", ["a*+", "[^ab]++", r"\d?+", "(?>(?:ab)*)", r"(?:ab)*\+", "(a)+"])
def test_other_expressions_are_let_through(pattern):
    assert not possessive_groups(re.compile(pattern))
    assert not WITH_GROUP.search(pattern)


def test_no_source_repeats_a_group_possessively():
    wrong = [
        f"{name_of(path)}: {text}"
        for path in files(".py", under=("mailrelay", "gateway", "scripts"))
        for text in texts(path.read_text(encoding="utf-8"))
        if WITH_GROUP.search(text)
    ]

    assert not wrong, "write an atomic group, (?>(?:...)*)"


@pytest.mark.parametrize("package", ["mailrelay", "gateway"])
def test_no_module_keeps_an_expression_with_a_possessive_group(package):
    wrong = [name for name, pattern in compiled(package).items() if possessive_groups(pattern)]

    assert not wrong, "write an atomic group, (?>(?:...)*)"
