"""The Celery tasks. They carry ids: what counts is in the database."""

from uuid import UUID

from celery import current_task, shared_task

from mailrelay import tracing
from mailrelay.delivery import pipeline
from mailrelay.outbox.claiming import publish


@shared_task(name=publish.TASK, ignore_result=True)
def deliver(delivery_id: int, token: str) -> None:
    """Deliver what `token` reserved."""
    with tracing.about(task_id=str(current_task.request.id)):
        pipeline.deliver(delivery_id, UUID(token))
