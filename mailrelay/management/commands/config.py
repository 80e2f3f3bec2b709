"""`manage.py config apply FILE` and `config export`: senders, apps, mailboxes and clients as a YAML file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.configuration import exporting
from mailrelay.configuration.applying import apply
from mailrelay.configuration.document import load
from mailrelay.configuration.plan import summary
from mailrelay.configuration.reading import ConfigurationError
from mailrelay.outbox.errors import OutboxError
from mailrelay.processes import preflight


class Command(BaseCommand):
    help = (
        "Bring senders, apps, mailboxes and SMTP clients in line with a YAML file, or write that file. "
        "Keys that an entry leaves out stay as they are; rows that the file does not name stay too."
    )
    requires_system_checks = ()  # `handle` refuses what is serious, in sentences

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        applying = actions.add_parser(
            "apply", help="bring the database in line with FILE, in one transaction"
        )
        applying.add_argument("file", type=Path, metavar="FILE")
        applying.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
        applying.add_argument(
            "--prune", action="store_true", help="deactivate what the sections of the file do not name"
        )
        actions.add_parser("export", help="print the file; secrets are not in it")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        if action == "export":
            self.stdout.write(exporting.export(), ending="")
            return
        try:
            self._apply(options["file"], prune=options["prune"], dry_run=options["dry_run"])
        except (ConfigurationError, OutboxError) as error:
            raise CommandError(f"{error} Nothing was changed.") from None

    def _apply(self, file: Path, *, prune: bool, dry_run: bool) -> None:
        steps = apply(load(file), prune=prune, dry_run=dry_run)
        for step in steps:
            self.stdout.write(str(step))
        end = " This was a dry run: nothing was changed." if dry_run else ""
        self.stdout.write(f"{summary(steps).capitalize()}{end}")
