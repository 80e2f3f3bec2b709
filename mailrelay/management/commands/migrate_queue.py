"""`manage.py migrate_queue --to URL`: from the embedded default to PostgreSQL, with the mail that waits."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway import database
from gateway.checks import MOVED
from mailrelay.processes import preflight
from mailrelay.upkeep import moving
from mailrelay.upkeep.errors import UpkeepError


class Command(BaseCommand):
    help = (
        "Copy everything that the embedded database keeps into an empty, migrated PostgreSQL database. "
        "Stop the gateway first. Afterwards it does not start on the old file any more."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", required=True, metavar="URL", help="postgres://user:password@host:5432/name"
        )

    def handle(self, *_: Any, to: str, **__: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_foreign_database('pg_dump "$DATABASE_URL"')
        preflight.refuse_unmigrated()
        try:
            target = database.postgresql(to)
        except ValueError as error:
            raise CommandError(f"--to {error}.") from None
        lock = preflight.lock_data_dir()
        try:
            total = moving.move(target, self.stdout.write)
            (settings.DATA_DIR / MOVED).touch()
        except UpkeepError as error:
            raise CommandError(f"{error} Nothing was changed.") from None
        finally:
            if lock is not None:
                lock.close()
        self.stdout.write(
            f"{total} rows have moved. Give the new processes that DATABASE_URL, and the keys of "
            f"{settings.DATA_DIR / 'keys'} as FIELD_ENCRYPTION_KEYS and DJANGO_SECRET_KEY."
        )
