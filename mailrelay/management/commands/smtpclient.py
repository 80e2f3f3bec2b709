"""`manage.py smtpclient`: who may talk to the listener, made, listed and tried without sending anything."""

import sys
from ipaddress import ip_address
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.cli import clients
from mailrelay.cli.errors import CliError
from mailrelay.configuration import adding
from mailrelay.configuration.reading import ConfigurationError
from mailrelay.models import SmtpClient
from mailrelay.outbox.errors import OutboxError
from mailrelay.processes import preflight
from mailrelay.routing.loading import load
from mailrelay.vocabulary import Urgency

#: What is said of a password, which is shown this once.
ONCE = "The password is shown once; manage.py smtpclient password NAME makes another."


class Command(BaseCommand):
    help = (
        "Add an SMTP client and print the settings to copy, list the clients, or ask what a mail would meet."
    )
    requires_system_checks = ()  # `handle` refuses what is serious, in sentences

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        self._add(actions.add_parser("add", help="make a client, or change the one of that name"))
        password = actions.add_parser("password", help="give a client with a login a new password")
        password.add_argument("name", metavar="NAME")
        password.add_argument("--stdin", action="store_true", help="read it from standard input")
        actions.add_parser("list", help="one line a client")
        test = actions.add_parser("test", help="say what the listener would answer; nothing is sent")
        test.add_argument("name", nargs="?", metavar="NAME", help="default: who --address is known as")
        test.add_argument("--address", type=ip_address, metavar="IP", help="where it connects from")
        test.add_argument("--from", dest="sender", required=True, metavar="ADDRESS")
        test.add_argument("--to", required=True, metavar="ADDRESS")

    def _add(self, add: CommandParser) -> None:
        add.add_argument("name", metavar="NAME")
        add.add_argument("--network", action="append", metavar="CIDR", help="where it connects from")
        add.add_argument("--login", metavar="USER", help="a user name; its password is made and printed")
        add.add_argument(
            "--from", action="append", dest="senders", metavar="PATTERN", help="address or @domain"
        )
        add.add_argument("--to", action="append", metavar="PATTERN", help="address or @domain")
        add.add_argument("--max-size", type=int, metavar="BYTES")
        add.add_argument("--per-minute", type=int, metavar="N", help="messages a minute")
        add.add_argument("--connections", type=int, metavar="N", help="at a time")
        add.add_argument("--default-domain", metavar="DOMAIN", help="of recipients without one")
        add.add_argument(
            "--alias",
            action="append",
            metavar="NAME=ADDRESS",
            help="whom a recipient stands for; all are set",
        )
        add.add_argument("--repeat-minutes", type=int, metavar="N", help="for repeated mail; 0 is never")
        add.add_argument("--urgency", choices=[urgency.name.lower() for urgency in Urgency])

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        try:
            for line in getattr(self, f"_do_{action}")(options):
                self.stdout.write(line)
        except (ConfigurationError, CliError, OutboxError) as error:
            raise CommandError(str(error)) from None

    def _do_add(self, options: dict[str, Any]) -> Any:
        name, login = options["name"], options["login"]
        if not (options["network"] or login or SmtpClient.objects.filter(name=name).exists()):
            raise CliError("Say what it is known by: --network CIDR, --login USER, or both.")
        entry = {
            "name": name,
            "networks": options["network"],
            "login": login,
            "allowed_from": options["senders"],
            "allowed_recipients": options["to"],
            "max_message_size": options["max_size"],
            "messages_per_minute": options["per_minute"],
            "max_connections": options["connections"],
            "urgency": options["urgency"],
            "default_domain": options["default_domain"],
            "aliases": _aliases(options["alias"] or []),
            "repeat_minutes": options["repeat_minutes"],
        }
        yield from map(str, adding.add("clients", entry))
        row = SmtpClient.objects.get(name=name)
        made = adding.set_password(name) if row.login and not row.password_hash else ""
        yield from clients.settings_to_copy(row, made or "as before")
        if made:
            yield ONCE

    def _do_password(self, options: dict[str, Any]) -> Any:
        given = sys.stdin.readline().rstrip("\r\n") if options["stdin"] else None
        made = adding.set_password(options["name"], given)
        if given is None:
            yield from clients.settings_to_copy(SmtpClient.objects.get(name=options["name"]), made)
            yield ONCE

    def _do_list(self, _: dict[str, Any]) -> Any:
        yield from clients.listed()

    def _do_test(self, options: dict[str, Any]) -> Any:
        address = str(options["address"]) if options["address"] else None
        question = clients.Question(options["name"], address, options["sender"], options["to"])
        yield from clients.test(load(), question)
        yield "The listener would take this mail."


def _aliases(given: list[str]) -> dict[str, list[str]]:
    """Read NAME=ADDRESS, where a name may come with several addresses."""
    found: dict[str, list[str]] = {}
    for word in given:
        name, _, address = word.partition("=")
        found.setdefault(name, []).append(address)
    return found
