"""`manage.py mailq`: what is in the queue, what became of a message, and what a person does about it."""

import json
import os
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailrelay.cli import bulk_actions, listing, message_details, table
from mailrelay.cli.errors import CliError
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.operators.actions import ACTIONS
from mailrelay.processes import preflight


class Command(BaseCommand):
    help = (
        "List messages, oldest first; `show ID` tells the story of one; "
        "`requeue`, `hold`, `release` and `cancel` act on those named."
    )
    requires_system_checks = ()  # `handle` refuses what is serious; warnings would stand in the listing

    def add_arguments(self, parser: CommandParser) -> None:
        actions = ("list", "show", *ACTIONS)
        parser.add_argument("action", nargs="?", choices=actions, default="list", help="list is the default")
        parser.add_argument("ids", nargs="*", metavar="ID", help="queue ids, as hex or UUID")
        parser.add_argument("--json", action="store_true", help="one JSON object per line (JSON Lines)")
        parser.add_argument("--state", choices=listing.STATES, help="open is all that is not over")
        parser.add_argument("--sender", metavar="NAME", help="messages of one sender")
        parser.add_argument("--limit", type=_count, metavar="N", help="the N oldest at most")

    def handle(self, *_: Any, **options: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        try:
            self._do(options["action"], options["ids"], options)
        except (CliError, OutboxError) as error:
            raise CommandError(str(error)) from None
        except BrokenPipeError:
            # `mailq | head` has seen enough; what Python would flush at exit has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _do(self, action: str, ids: list[str], options: dict[str, Any]) -> None:
        if action == "list":
            if ids:
                raise CliError(f"Say what to do with {ids[0]}: show, {', '.join(ACTIONS)}.")
            self._list(options)
            return
        if not ids:
            raise CliError(f"Say which messages to {action}: manage.py mailq {action} ID …")
        if action == "show":
            for message_id in bulk_actions.known(ids):
                self._print("\n".join(message_details.told(message_id)))
        else:
            self._act(action, ids)

    def _list(self, options: dict[str, Any]) -> None:
        rows = listing.rows(options["state"], options["sender"], options["limit"])
        lines = (json.dumps(row.as_json()) for row in rows) if options["json"] else table.lines(rows)
        for line in lines:
            self._print(line)
        self.stdout.flush()

    def _act(self, action: str, ids: list[str]) -> None:
        total = 0
        for acted in bulk_actions.act(action, bulk_actions.known(ids)):
            total += acted.moved
            done = f"{acted.moved} {bulk_actions.DONE[action]}" if acted.moved else "nothing to do"
            self._print(f"{acted.id}: {done}; it is {acted.state.value} now")
        self._print(f"{total} {'delivery' if total == 1 else 'deliveries'} moved.")

    def _print(self, line: str) -> None:
        self.stdout.write(line)


def _count(number: str) -> int:
    if not number.isdecimal() or int(number) < 1:
        raise ArgumentTypeError(f"{number} is not a whole number of at least 1")
    return int(number)
