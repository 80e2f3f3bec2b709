"""`manage.py restore FILE`: what `backup` wrote, into an empty DATA_DIR."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.processes import preflight
from mailrelay.upkeep import backup
from mailrelay.upkeep.errors import UpkeepError


class Command(BaseCommand):
    help = "Put the database and the keys of a backup into an empty DATA_DIR; nothing else may run on it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *_: Any, file: Path, **__: Any) -> None:
        preflight.refuse_foreign_database('pg_restore --no-owner --dbname="$DATABASE_URL" gateway.dump')
        lock = preflight.lock_data_dir()
        try:
            backup.restore(file, Path(settings.DATABASES["default"]["NAME"]), settings.DATA_DIR)
        except UpkeepError as error:
            raise CommandError(str(error)) from None
        finally:
            if lock is not None:
                lock.close()
        self.stdout.write(
            f"{file} is restored. Mail that was sent since the backup would be sent again: look at "
            "manage.py mailq, and hold or cancel it before the start."
        )
