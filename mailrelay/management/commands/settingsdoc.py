"""`manage.py settingsdoc`: write docs/settings.md from the declarations; `--check` fails when it is stale."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.configuration import settings_page


class Command(BaseCommand):
    help = "Write docs/settings.md from the variables that gateway/settings.py declares."
    requires_system_checks = ()  # a page about variables does not need them to be set

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when it is stale")

    def handle(self, *_: Any, check: bool, **__: Any) -> None:
        if not check:
            settings_page.PATH.write_text(settings_page.page(), encoding="utf-8")
            self.stdout.write(f"{settings_page.PATH} is written.")
        elif not settings_page.is_current():
            raise CommandError(f"{settings_page.PATH} is stale: run manage.py settingsdoc and commit it.")
