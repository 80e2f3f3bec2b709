"""`manage.py rotate_field_keys`: put every stored secret under the first of FIELD_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailrelay.configuration import field_keys
from mailrelay.outbox.errors import OutboxError
from mailrelay.processes import preflight


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again under the first key of FIELD_ENCRYPTION_KEYS. Set the new key "
        "before the old one everywhere, restart, run this, then take the old key away. Safe to repeat."
    )
    requires_system_checks = ()

    def handle(self, *_: Any, **__: Any) -> None:
        preflight.refuse_misconfiguration()
        preflight.refuse_unmigrated()
        try:
            done = field_keys.rotate()
        except OutboxError as error:
            raise CommandError(f"{error} What was done stays done: run this again.") from None
        self.stdout.write(f"{done.renewed} encrypted again, {done.current} were under the first key already.")
        if done.unreadable:
            raise CommandError(
                f"No key opens the {'; the '.join(done.unreadable)}. Put the key that they were saved under "
                "at the end of FIELD_ENCRYPTION_KEYS and run this again, or enter them again. (gateway.E020)"
            )
