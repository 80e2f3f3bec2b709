"""`manage.py runsmtp`: the listener and its health port; the relay pod."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from gateway.checks import TAG
from mailrelay.health.monitor import monitor
from mailrelay.health.serving import HealthServer
from mailrelay.outbox.scheduler import Scheduler
from mailrelay.outbox.writer import stop_process_writer
from mailrelay.processes import preflight
from mailrelay.processes.relay import Relay
from mailrelay.processes.stopping import until_stopped


class Command(BaseCommand):
    help = "Listen for SMTP, store what is accepted, and wake the workers."
    requires_system_checks = (TAG,)

    def handle(self, *_: Any, **__: Any) -> None:
        preflight.refuse_memory_broker("runsmtp")
        preflight.refuse_unmigrated()
        stopped = until_stopped()
        relay, scheduler = Relay(), Scheduler()
        health = HealthServer(settings.HTTP_LISTEN) if settings.HTTP_LISTEN else None
        relay.start()
        scheduler.start()
        stopped.wait()
        monitor.draining = True
        relay.drain()
        scheduler.stop()
        stop_process_writer()
        if health is not None:
            health.stop()
