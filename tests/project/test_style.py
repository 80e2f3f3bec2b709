"""What every file of the project keeps to."""

import ast
import re

import pytest

from tests.project.files import files, name_of

MODULES = [
    path
    for path in files(".py", under=("gateway", "mailrelay", "sandbox", "scripts"))
    if "migrations" not in path.parts
]
LONGEST_MODULE = 450  # lines
#: In halves, so that this file does not find itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|except( Exception)?:\s*pa" r"ss\b")
PLACES = re.compile(
    r"/wo" r"rk/|/tmp/[a-z_]+_jo" r"bs|(?<![a-z-])--(extra-)?index-" r"url|(?<![a-z-])--find-" r"links"
)
#: Words that puzzle readers of English as a second language, in halves as well.
PUZZLING = re.compile(
    r"\b(me"
    r"nd(s|ed|ing)?|an"
    r"ew|le"
    r"st|who"
    r"ever|by and "
    r"by|p"
    r"uts? off|to"
    r"ld of|te"
    r"lls? of|of la"
    r"te)\b",
    re.IGNORECASE,
)
TEXTS = (".py", ".md", ".txt", ".in", ".toml", ".yaml", ".yml", ".html", ".css", ".sh", "")


def lines_with(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in files(*suffixes)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_modules_hold_one_idea():
    modules = [path for path in files(".py") if "migrations" not in path.parts]
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}

    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_nothing_is_left_for_later():
    assert not lines_with(MARKS, ".py", ".sh")


def test_no_file_names_a_place_of_one_machine():
    assert not lines_with(PLACES, *TEXTS)


def test_words_are_those_of_current_english():
    assert not lines_with(PUZZLING, *TEXTS, ".js", ".json")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_does_and_asks_no_question(path):
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""

    assert not re.match(r"(What|Who|Whose|Whom|How|Whether|Which|Where|When|Why)\b", said)
