"""The Celery tasks. They carry ids: what counts is in the database."""

from uuid import UUID

from celery import shared_task

from mailrelay.delivery import pipeline
from mailrelay.outbox import publish


@shared_task(name=publish.TASK, ignore_result=True)
def deliver(delivery_id: int, token: str) -> None:
    """Deliver what `token` reserved."""
    pipeline.deliver(delivery_id, UUID(token))
