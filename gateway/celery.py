"""The Celery application: `celery -A gateway worker`, `celery -A gateway flower`."""

import os
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

#: Mail of senders whose credentials are in the database: any worker delivers it.
DELIVER = "deliver"
#: Mail of the environment's sender: only workers that have its variables take it.
DELIVER_ENVIRONMENT = "deliver-environment"
#: Large mail, of which a worker runs one at a time.
DELIVER_LARGE, DELIVER_LARGE_ENVIRONMENT = "deliver-large", "deliver-large-environment"
QUEUES = (DELIVER, DELIVER_ENVIRONMENT, DELIVER_LARGE, DELIVER_LARGE_ENVIRONMENT)

#: kombu's table of transports, by the scheme of CELERY_BROKER_URL.
TRANSPORT_ALIASES["memory"] = "mailrelay.processes.in_memory:Transport"

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")


def _queue(name: str, *, quorum: bool) -> Queue:
    # A quorum queue survives the loss of a RabbitMQ node; other brokers know no such argument.
    arguments = {"x-queue-type": "quorum"} if quorum else None
    return Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=arguments)


def _configure() -> None:
    from django.conf import settings

    scheme = urlsplit(settings.CELERY_BROKER_URL).scheme
    quorum = scheme in {"amqp", "amqps", "pyamqp"}
    app.conf.task_queues = [_queue(name, quorum=quorum) for name in QUEUES]
    # Celery closes the database connection after each task unless told for how many to keep it: a new one
    # costs more than a delivery. What is broken is dropped where it is noticed (mailrelay.database).
    app.conf.CELERY_DB_REUSE_MAX = 1_000_000_000
    app.conf.task_default_queue = DELIVER
    app.conf.task_create_missing_queues = False
    app.conf.broker_transport_options = {
        "redis": {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 300},
        "rediss": {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 300},
    }.get(scheme, {"confirm_publish": True, "read_timeout": 5, "write_timeout": 5})


_configure()
# By their names: only workers load them.
app.steps["consumer"] |= {
    "mailrelay.processes.loop_signs:CeleryLoopSigns",
    "mailrelay.processes.task_events:TaskEventsTogether",
}
app.autodiscover_tasks(["mailrelay.delivery"])


@celeryd_init.connect
def _refuse(**_: Any) -> None:
    from mailrelay.processes.worker import process

    process.refuse()


@celeryd_after_setup.connect
def _choose_queues(instance: Any, **_: Any) -> None:
    from mailrelay.processes.worker import process

    process.choose_queues(instance)


@worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    # Told by the program alone: the worker inside rungateway has its services from there.
    from mailrelay.processes.worker import process

    process.ready(sender.controller.concurrency)


@worker_shutting_down.connect
def _retire(**_: Any) -> None:
    from mailrelay.processes.worker import process

    process.retire()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    from mailrelay.processes.worker import process

    process.stop()
