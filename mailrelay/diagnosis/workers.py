"""Workers: whether somebody is alive who delivers the mail of each sender."""

from collections.abc import Iterator

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.models import AppRegistration, Delivery, Worker
from mailrelay.outbox import capacity, clock
from mailrelay.vocabulary import ManagedBy, State

CHECK = Check("workers")


def alive() -> Iterator[Finding]:
    """Look for a live worker for each queue that an active registration needs."""
    since = clock.now() - clock.seconds(capacity.HEARTBEAT * capacity.MISSED)
    workers = list(Worker.objects.filter(seen_at__gte=since).order_by("name"))
    for owner in _owners():
        queue = capacity.queue_of(owner)
        serving = [worker for worker in workers if queue in worker.queues.split(",")]
        if serving:
            threads = sum(worker.capacity for worker in serving)
            yield CHECK.ok(f"{len(serving)} alive for the queue {queue}, {threads} deliveries at once.")
        else:
            yield _nobody(owner, queue)


def _owners() -> list[ManagedBy]:
    """Name an owner for each queue that is needed; the queues of admin and file are the same one."""
    active = AppRegistration.objects.filter(active=True)
    own = active.filter(managed_by=ManagedBy.ENVIRONMENT).exists()
    others = active.exclude(managed_by=ManagedBy.ENVIRONMENT).exists()
    return [*([ManagedBy.ENVIRONMENT] if own else []), *([ManagedBy.ADMIN] if others else [])]


def _nobody(owner: ManagedBy, queue: str) -> Finding:
    sentence = f"No live worker serves the queue {queue}"
    mend = "Start the gateway (manage.py rungateway), or a worker: celery -A gateway worker"
    if owner == ManagedBy.ENVIRONMENT:
        mend += ", with the AZURE_ variables and SENDER_EMAIL in its environment"
    owned = {"mailbox__registration__managed_by": ManagedBy.ENVIRONMENT}
    queued = Delivery.objects.filter(state=State.QUEUED)
    waiting = queued.filter(**owned) if owner == ManagedBy.ENVIRONMENT else queued.exclude(**owned)
    if waiting.exists():
        return CHECK.problem(f"{sentence}, and mail waits in it.", f"{mend}.")
    return CHECK.warning(f"{sentence}: mail would be accepted and wait.", f"{mend}.")
