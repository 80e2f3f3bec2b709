"""Workers: whether somebody is alive who delivers the mail of each sender."""

from collections.abc import Iterator

from django.db.models import Q

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.models import AppRegistration, Delivery, SenderConfig, Worker
from mailrelay.outbox.claiming import capacity
from mailrelay.status import workers
from mailrelay.vocabulary import LargeMail, ManagedBy, Route, State

CHECK = Check("workers")


def needed() -> Iterator[Finding]:
    """Look for a live worker for each queue that an active registration needs."""
    living = list(workers.alive().order_by("name"))
    for owner in _owners():
        queue = capacity.queue_of(owner)
        serving = workers.serving(living, queue)
        if not serving:
            yield _nobody(owner, queue)
            continue
        threads = sum(worker.capacity for worker in serving)
        yield CHECK.ok(f"{len(serving)} alive for the queue {queue}, {threads} deliveries at once.")
        if _sends_large(owner):
            yield _for_large_mail(owner, living)


def _sends_large(owner: ManagedBy) -> bool:
    """Whether a sender whose mail comes through queues of `owner` may send large mail."""
    able = Q(large_mail=LargeMail.ON) | Q(large_mail=LargeMail.AUTO, mailbox__can_draft=True)
    return SenderConfig.objects.filter(able, _through(owner, "mailbox__registration"), active=True).exists()


def _through(owner: ManagedBy, registration: str) -> Q:
    environment = Q(**{f"{registration}__managed_by": ManagedBy.ENVIRONMENT})
    return environment if owner == ManagedBy.ENVIRONMENT else ~environment


def _for_large_mail(owner: ManagedBy, living: list[Worker]) -> Finding:
    queue = capacity.queue_of(owner, Route.LARGE)
    if serving := workers.serving(living, queue):
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
    todo = workers.start_one(queue)
    if Delivery.objects.filter(_through(owner, "mailbox__registration"), state=State.QUEUED).exists():
        return CHECK.problem(f"{sentence}, and mail waits in it.", todo)
    return CHECK.warning(f"{sentence}: mail would be accepted and wait.", todo)
