"""What the documents point at is there."""

import re

import pytest

from tests.project.files import ROOT, files, name_of

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:gateway|mailrelay|scripts|tests|docs|requirements|docker|deploy|\.ci)/[\w./-]*)`")
DOCUMENTS = files(".md")


def anchors(text: str) -> set[str]:
    """Name the headings as GitHub's links do."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    broken = []
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        file = document.parent / target if target else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)

    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_paths_named_in_prose_exist(document):
    named = PATH.findall(document.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs/never-run.md"]
)
def test_the_usual_papers_are_there(name):
    assert (ROOT / name).stat().st_size > 200


def test_each_decision_says_why_and_what_else_there_was():
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    parts = ("## Context", "## Decision", "## Alternatives", "## Consequences")
    incomplete = [name_of(path) for path in decisions if not all(part in path.read_text() for part in parts)]

    assert decisions
    assert not incomplete


def test_the_readme_names_every_command_of_the_gateway():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {path.stem for path in files(".py", under=("mailrelay/management/commands",))} - {"__init__"}

    assert {command for command in commands if f"manage.py {command}" not in readme} == set()
