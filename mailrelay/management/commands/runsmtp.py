"""`manage.py runsmtp`: the listener and its health port; the relay pod."""

from typing import Any

from django.core.management.base import BaseCommand

from gateway.checks import TAG
from mailrelay import memory
from mailrelay.notify.alerts import Watch
from mailrelay.outbox.db.writer import stop_process_writer
from mailrelay.outbox.scheduling.scheduler import Scheduler
from mailrelay.processes import preflight, probes
from mailrelay.processes.relay import Relay
from mailrelay.processes.stopping import until_stopped


class Command(BaseCommand):
    help = "Listen for SMTP, store what is accepted, and wake the workers."
    requires_system_checks = (TAG,)

    def handle(self, *_: Any, **__: Any) -> None:
        preflight.refuse_memory_broker("runsmtp")
        preflight.refuse_unmigrated()
        memory.give_back_early()
        preflight.refuse_misreading_python()
        stopped = until_stopped()
        health = probes.serve()
        relay, scheduler, alerts = Relay(), Scheduler(), Watch(delivers=False)
        relay.start()
        scheduler.start()
        alerts.start()
        probes.serving()
        stopped.wait()
        probes.ending()
        relay.drain()
        scheduler.stop()
        alerts.stop()
        stop_process_writer()
        probes.stop(health)
