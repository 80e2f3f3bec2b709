"""Counts and notes an attempt once its outcome is on record."""

import logging

from django.utils import timezone

from mailrelay import metrics
from mailrelay.delivery.plan import Plan
from mailrelay.models import Delivery
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.result import Result
from mailrelay.outbox.settling import request_size, settle
from mailrelay.vocabulary import Outcome, Route

log = logging.getLogger(__name__)


def measure(delivery: Delivery, result: Result) -> None:
    """Count the outcome, and the seconds since the mail was accepted."""
    metrics.ATTEMPTS.labels(sender=delivery.sender.name, outcome=result.outcome).inc()
    if result.outcome is Outcome.SENT:
        # This host's clock: the database's may have to be asked, and what is settled must not fail any more.
        metrics.DELIVERY_SECONDS.observe(max(0.0, (timezone.now() - delivery.aged_from).total_seconds()))


def note_how_it_was_sent(delivery: Delivery, mail: Plan) -> None:
    """Note what size Graph took whole, and what the mail lost on its way."""
    try:
        if mail.route is Route.MIME:
            request_size.was_taken(delivery.mailbox, mail.size)
        if losses := " ".join(mail.losses):
            settle.add_note(delivery, f"Sent with changes: {losses}")
    except OutboxError:
        log.info("how it was sent is not on record", extra={"message_id": delivery.message.queue_id})
