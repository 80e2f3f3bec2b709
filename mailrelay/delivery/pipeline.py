"""The way of one delivery: lease, earlier attempt, mail, token, request, record."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import DatabaseError, OperationalError

from mailrelay import tracing
from mailrelay.database import drop_connection_after
from mailrelay.delivery import earlier_attempt, outcome_lookup, request, tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.delivery.measuring import measure, note_how_it_was_sent
from mailrelay.delivery.memory_budget import MemoryShare, NoMemoryError, composing, needed, process_memory
from mailrelay.delivery.outcome_lookup import Finding
from mailrelay.delivery.plan import Plan, plan
from mailrelay.delivery.recording import AnswerLostError, ending, recorded
from mailrelay.delivery.stopping import StoppedError, stop_a_loop, stop_for_a_failing_mailbox, stopping
from mailrelay.models import Delivery
from mailrelay.outbox.claiming import leases, publish
from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.errors import LeaseLostError, OutboxError
from mailrelay.outbox.result import Result
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.settling import own_message_ids, settle
from mailrelay.vocabulary import Outcome, Route

log = logging.getLogger(__name__)

UNSENT = "The database was out of reach before the request began; nothing was sent."


def deliver(delivery_id: int, token: UUID) -> None:
    """Carry out the reservation `token` of a delivery, if it still counts."""
    delivery = _leased(delivery_id, token)
    if delivery is None:
        return
    with leases.keeper.holding(delivery), _traced(delivery):
        reservations = _guarded(delivery)
    if reservations:
        publish.publish(reservations)
    else:
        # Nothing more through this mailbox: the free worker may be what another waits for.
        scheduler.wake()


def _send(delivery: Delivery, memory_share: MemoryShare) -> list[Reservation]:
    """Send one mail, step by step; return what its mailbox may send next."""
    credential = credential_of(delivery.mailbox.registration)
    try:
        with stopping(delivery):
            found = outcome_lookup.look(delivery, credential)
            if (settled := earlier_attempt.settled(delivery, credential, found)) is not None:
                return settled
            mail = _composed(delivery, memory_share)
            token = tokens.token_for(credential)
            stop_a_loop(delivery, mail)
            stop_for_a_failing_mailbox(delivery, credential, token, mail)
    except StoppedError as stopped:
        return settle.end_without_attempt(delivery, stopped.result, noted=stopped.noted)
    second_copy = found.finding is not Finding.CLEAR
    attempt = leases.begin(delivery, mail.size, mail.route, second_copy=second_copy)
    result = request.send(delivery, credential, mail, attempt, token)
    return _settled(delivery, mail, attempt, result)


def _composed(delivery: Delivery, memory_share: MemoryShare) -> Plan:
    """Write the mail as it is sent; what of its share of memory it does not need is given back."""
    own_message_ids.give_where_wanted(delivery)
    with composing(delivery):
        mail = plan(delivery)
    if mail.route is Route.MIME:
        memory_share.shrink(mail.memory)
    return mail


def _settled(delivery: Delivery, mail: Plan, attempt: Attempt, result: Result) -> list[Reservation]:
    """Put the outcome on record, first of all; then count it."""
    about = {"message_id": delivery.message.queue_id}
    log.info("attempt %d: %s", attempt.number, result.outcome, extra=about)
    reservations = recorded(lambda: settle.end_attempt(attempt, result))
    measure(delivery, result)
    if result.outcome is Outcome.SENT:
        note_how_it_was_sent(delivery, mail)
    return reservations


def _leased(delivery_id: int, token: UUID) -> Delivery | None:
    """Take the lease; None where the task is not this delivery's any more, or the database is away."""
    try:
        delivery = leases.take(delivery_id, token)
    except (OutboxError, DatabaseError) as error:
        drop_connection_after(error)
        log.warning("delivery %d could not be taken: the database is out of reach", delivery_id)
        return None
    if delivery is None:
        log.info("delivery %d is not this task's any more", delivery_id)
    return delivery


@contextmanager
def _traced(delivery: Delivery) -> Iterator[None]:
    """Put the message into each log line and into the trace."""
    message, sender = delivery.message, delivery.sender.name
    with (
        tracing.about(message_id=message.queue_id, sender=sender, client=message.client_address),
        tracing.span("deliver", message.pk, delivery=delivery.pk, sender=sender),
    ):
        yield


def _guarded(delivery: Delivery) -> list[Reservation]:
    """Send `delivery`, so that no fault of ours is taken for the message's, nor stops the others."""
    about = {"message_id": delivery.message.queue_id}
    try:
        with process_memory.taken(needed(delivery), ending) as memory_share:
            return _send(delivery, memory_share)
    except NoMemoryError as error:
        text = str(error)
        return recorded(lambda: settle.return_to_queue(delivery, text))
    except LeaseLostError as error:
        log.warning("not sent: %s", error, extra=about)
    except AnswerLostError:
        log.warning("an answer of Graph could not be recorded; the lease decides", extra=about)
    except (OutboxError, OperationalError) as error:
        drop_connection_after(error)
        log.warning("the database was out of reach before the request", extra=about)
        return recorded(lambda: settle.return_to_queue(delivery, UNSENT))
    except Exception as error:  # a database that answers, with a fault of this message's rows, is one too
        drop_connection_after(error)
        log.exception("delivery crashed", extra=about)
        text = _crash_text(error)
        return recorded(lambda: settle.count_crash(delivery, text))
    return []


def _crash_text(error: Exception) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return (
        f"The gateway stumbled over this message ({type(error).__name__} at {at} UTC). "
        "The log of that moment has the details under the queue id."
    )
