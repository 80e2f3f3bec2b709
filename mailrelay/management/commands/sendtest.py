"""`manage.py sendtest`: one mail through the whole path, from our own SMTP listener to Graph's answer."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.cli.errors import CliError
from mailrelay.cli.test_mail import Trial
from mailrelay.processes import preflight


class Command(BaseCommand):
    help = "Send one mail through the whole path and wait for its outcome; exit 0 when Graph has taken it."
    requires_system_checks = ()  # `handle` refuses what is serious, in sentences

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, metavar="ADDRESS", help="who gets the mail")
        parser.add_argument(
            "--from", dest="sender", metavar="ADDRESS", help="default: the mailbox of the default sender"
        )
        parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds; default 60")

    def handle(self, *_: Any, to: str, sender: str | None, timeout: float, **__: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        try:
            Trial(self._say).run(to, sender, timeout)
        except CliError as error:
            raise CommandError(str(error)) from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
