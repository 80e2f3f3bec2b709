"""`manage.py sender`: whose mail goes where, made, listed and tried."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.cli.errors import CliError
from mailrelay.cli.test_mail import Trial, address_of
from mailrelay.configuration import adding
from mailrelay.configuration.reading import ConfigurationError
from mailrelay.models import SenderConfig
from mailrelay.outbox.errors import OutboxError
from mailrelay.processes import preflight
from mailrelay.vocabulary import FromPolicy, Invitations, LargeMail, LargeText


class Command(BaseCommand):
    help = "Add a sender for an app registration that is there, list the senders, or send a test mail as one."
    requires_system_checks = ()  # `handle` refuses what is serious, in sentences

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="make a sender, or change the one of that name")
        add.add_argument("name", metavar="NAME")
        add.add_argument("--app", required=True, metavar="NAME", help="its app registration")
        add.add_argument("--mailbox", required=True, metavar="ADDRESS", help="what its mail is sent through")
        add.add_argument("--address", action="append", metavar="ADDRESS", help="From address that chooses it")
        add.add_argument("--domain", action="append", metavar="DOMAIN", help="From domain that chooses it")
        add.add_argument("--default", action="store_true", help="it takes what no other sender does")
        add.add_argument("--from-policy", choices=[policy.value for policy in FromPolicy])
        add.add_argument("--large-mail", choices=[choice.value for choice in LargeMail])
        add.add_argument("--invitations", choices=[choice.value for choice in Invitations])
        add.add_argument("--large-text", choices=[choice.value for choice in LargeText])
        actions.add_parser("list", help="one line a sender")
        test = actions.add_parser("test", help="send one mail as the sender and wait for its outcome")
        test.add_argument("name", metavar="NAME")
        test.add_argument("--to", required=True, metavar="ADDRESS")
        test.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds; default 60")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        try:
            getattr(self, f"_{action}")(options)
        except (ConfigurationError, CliError, OutboxError) as error:
            raise CommandError(str(error)) from None

    def _add(self, options: dict[str, Any]) -> None:
        entry = {
            "name": options["name"],
            "app": options["app"],
            "mailbox": options["mailbox"],
            "addresses": options["address"],
            "domains": options["domain"],
            "default": options["default"] or None,
            "from_policy": options["from_policy"],
            "large_mail": options["large_mail"],
            "large_text": options["large_text"],
            "invitations": options["invitations"],
        }
        for step in adding.add("senders", entry):
            self._say(str(step))
        self._say(f"Try it: manage.py sender test {options['name']} --to you@example.org")

    def _list(self, _: dict[str, Any]) -> None:
        rows = SenderConfig.objects.select_related("mailbox__registration").order_by("name")
        for row in rows:
            serves = [*row.addresses.split(), *(f"@{domain.lstrip('@')}" for domain in row.domains.split())]
            notes = (row.is_default and "default", not row.active and "off", row.from_policy)
            self._say(
                f"{row.name}: {', '.join(serves) or row.mailbox.address} through {row.mailbox.address} "
                f"of {row.mailbox.registration.name} ({', '.join(str(note) for note in notes if note)})"
            )

    def _test(self, options: dict[str, Any]) -> None:
        row = SenderConfig.objects.filter(name=options["name"]).select_related("mailbox").first()
        if row is None:
            raise CliError(f"There is no sender {options['name']}: see manage.py sender list.")
        Trial(self._say).run(options["to"], address_of(row), options["timeout"])

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
