"""`manage.py backup FILE`: the embedded database and its keys in one file, while the gateway runs."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.processes import preflight
from mailrelay.upkeep import backup
from mailrelay.upkeep.errors import UpkeepError


class Command(BaseCommand):
    help = "Write the SQLite database and the keys of DATA_DIR to FILE, a zip; the gateway may run."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *_: Any, file: Path, **__: Any) -> None:
        preflight.refuse_foreign_database('pg_dump --format=custom --file=gateway.dump "$DATABASE_URL"')
        preflight.refuse_unmigrated()
        try:
            size = backup.save(Path(settings.DATABASES["default"]["NAME"]), settings.DATA_DIR, file)
        except UpkeepError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{file} is written, {size} bytes. It holds keys and mail: keep it as you keep them."
        )
