"""`manage.py doctor`: what is wrong with this installation, and how to fix it."""

import json
import sys
import textwrap
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailrelay.diagnosis.examination import findings
from mailrelay.diagnosis.findings import Finding, Level

WIDTH = 100
MARGIN = " " * 9


class Command(BaseCommand):
    help = (
        "Examine configuration, database, broker, network, credentials and mailboxes; exit 1 for a problem."
    )
    requires_system_checks = ()  # they are part of the examination

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *_: Any, **options: Any) -> None:
        found: list[Finding] = []
        for finding in findings():
            found.append(finding)
            if not options["json"]:
                self._print(finding)
        levels = Counter(finding.level for finding in found)
        if options["json"]:
            self._document(found, levels)
        else:
            self.stdout.write(_summary(levels))
        if levels[Level.PROBLEM]:
            sys.exit(1)

    def _print(self, finding: Finding) -> None:
        texts = [f"{finding.check}: {finding.sentence}", *([f"→ {finding.fix}"] if finding.fix else [])]
        lines = [line for text in texts for line in textwrap.wrap(text, WIDTH - len(MARGIN))]
        self.stdout.write(f"{finding.level:<{len(MARGIN)}}" + f"\n{MARGIN}".join(lines))
        self.stdout.flush()

    def _document(self, found: list[Finding], levels: Counter[Level]) -> None:
        document = {
            "ok": not levels[Level.PROBLEM],
            "problems": levels[Level.PROBLEM],
            "warnings": levels[Level.WARNING],
            "findings": [finding.as_json() for finding in found],
        }
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))


def _summary(levels: Counter[Level]) -> str:
    problems, warnings, fine = (levels[level] for level in (Level.PROBLEM, Level.WARNING, Level.OK))
    if not problems and not warnings:
        return f"\nAll {fine} checks are well."
    return f"\n{_plural(problems, 'problem')}, {_plural(warnings, 'warning')}, {fine} well."


def _plural(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
