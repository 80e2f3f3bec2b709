"""Workers: whether somebody is alive who delivers the mail of each sender."""

from collections.abc import Iterator

from django.db.models import Q

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.models import AppRegistration, Delivery, SenderConfig, Worker
from mailrelay.outbox import capacity, clock
from mailrelay.vocabulary import LargeMail, ManagedBy, Route, State

CHECK = Check("workers")


def alive() -> Iterator[Finding]:
    """Look for a live worker for each queue that an active registration needs."""
    since = clock.now() - clock.seconds(capacity.HEARTBEAT * capacity.MISSED)
    workers = list(Worker.objects.filter(seen_at__gte=since).order_by("name"))
    for owner in _owners():
        queue = capacity.queue_of(owner)
        serving = _serving(workers, queue)
        if not serving:
            yield _nobody(owner, queue)
            continue
        threads = sum(worker.capacity for worker in serving)
        yield CHECK.ok(f"{len(serving)} alive for the queue {queue}, {threads} deliveries at once.")
        if _sends_large(owner):
            yield _for_large_mail(owner, workers)


def _serving(workers: list[Worker], queue: str) -> list[Worker]:
    return [worker for worker in workers if queue in worker.queues.split(",")]


def _sends_large(owner: ManagedBy) -> bool:
    """Whether a sender whose mail comes through queues of `owner` may send large mail."""
    able = Q(large_mail=LargeMail.ON) | Q(large_mail=LargeMail.AUTO, mailbox__can_draft=True)
    return SenderConfig.objects.filter(able, _through(owner, "mailbox__registration"), active=True).exists()


def _through(owner: ManagedBy, registration: str) -> Q:
    environment = Q(**{f"{registration}__managed_by": ManagedBy.ENVIRONMENT})
    return environment if owner == ManagedBy.ENVIRONMENT else ~environment


def _for_large_mail(owner: ManagedBy, workers: list[Worker]) -> Finding:
    queue = capacity.queue_of(owner, Route.LARGE)
    if serving := _serving(workers, queue):
        return CHECK.ok(f"{len(serving)} alive for the queue {queue}, one large mail at a time each.")
    return CHECK.problem(
        f"Live workers leave out the queue {queue}: large mail is accepted and waits.",
        f"Start a worker without -Q, or name {queue} in it: celery -A gateway worker "
        f"-Q {capacity.queue_of(owner)},{queue}",
    )


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
    if Delivery.objects.filter(_through(owner, "mailbox__registration"), state=State.QUEUED).exists():
        return CHECK.problem(f"{sentence}, and mail waits in it.", f"{mend}.")
    return CHECK.warning(f"{sentence}: mail would be accepted and wait.", f"{mend}.")
