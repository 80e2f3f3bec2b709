"""`manage.py rungateway`: listener, worker, scheduler and web in one process."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.wsgi import get_wsgi_application

from gateway.checks import TAG
from mailrelay.processes import memory, preflight, probes, with_sandbox
from mailrelay.processes.gateway import Gateway
from mailrelay.processes.stopping import end_within, until_stopped


class Command(BaseCommand):
    help = "Run the whole gateway in this process."
    requires_system_checks = ()  # they run once the sandbox has put its variables in place

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sandbox",
            action="store_true",
            help="deliver to a stand-in for Entra ID and Graph that is started beside this process",
        )

    def handle(self, *_: Any, sandbox: bool, **__: Any) -> None:
        if sandbox:
            with_sandbox.start_again()
        memory.one_arena()
        self.check(tags=[TAG])
        stopped = until_stopped()
        lock = preflight.lock_data_dir(stopped)
        if lock is None:
            return
        health = probes.serve(get_wsgi_application())
        preflight.migrate_embedded()
        preflight.refuse_wrong_field_key()
        password_file = preflight.first_administrator()
        gateway = Gateway()
        gateway.start()
        probes.serving()
        if password_file:
            self.stderr.write(f"The first administrator's password is in {password_file}")
        stopped.wait()
        probes.ending()
        end_within()
        gateway.stop()
        probes.stop(health)
        lock.close()
