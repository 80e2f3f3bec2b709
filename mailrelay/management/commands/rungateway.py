"""`manage.py rungateway`: listener, worker, scheduler and web in one process."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.wsgi import get_wsgi_application

from gateway.checks import TAG
from mailrelay import memory
from mailrelay.processes import preflight, probes, starting, with_sandbox
from mailrelay.processes.control import Control
from mailrelay.processes.data_dir import StartError
from mailrelay.processes.gateway import Gateway
from mailrelay.processes.stopping import until_stopped


class Command(BaseCommand):
    help = "Run the whole gateway in this process."
    requires_system_checks = ()  # they run once the sandbox has put its variables in place

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            with_sandbox.OPTION,
            action="store_true",
            help="deliver to a stand-in for Entra ID and Graph that is started beside this process",
        )

    def handle(self, *_: Any, sandbox: bool, **__: Any) -> None:
        try:
            started = starting.begin([with_sandbox.OPTION] if sandbox else [])
        except StartError as error:
            raise CommandError(str(error)) from None
        self.check(tags=[TAG])
        if started.lock is None:
            return
        memory.give_back_early()
        health = probes.serve(get_wsgi_application(), started.front)
        if not settings.EMBEDDED:
            preflight.refuse_unmigrated()
        preflight.refuse_misreading_python()
        preflight.refuse_wrong_field_key()
        password_file = preflight.first_administrator()
        stopped = until_stopped()
        gateway = Gateway()
        gateway.start()
        control = Control(settings.DATA_DIR)
        probes.serving()
        if password_file:
            self.stderr.write(f"The first administrator's password is in {password_file}")
        stopped.wait()
        probes.ending()
        control.stop()
        gateway.stop()
        probes.stop(health)
        started.lock.close()
