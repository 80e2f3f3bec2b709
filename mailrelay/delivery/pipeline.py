"""The way of one delivery: lease, mail, token, attempt, request, record."""

import logging
import threading
import time
from collections.abc import Sequence
from itertools import chain, repeat
from uuid import UUID

from django.conf import settings

from mailrelay import metrics
from mailrelay.delivery import tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.delivery.loops import circles
from mailrelay.delivery.results import circling, removed, result_of
from mailrelay.graph.answer import Answer
from mailrelay.graph.credentials import Credential
from mailrelay.graph.error_table import CODES
from mailrelay.graph.errors import verdict_of
from mailrelay.graph.http import Timeouts
from mailrelay.graph.sendmail import send_mime
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.graph.verdict import Verdict
from mailrelay.mime.base64stream import Base64Body
from mailrelay.mime.compose import Composed, compose
from mailrelay.mime.identity import Identity
from mailrelay.models import Delivery, SenderConfig
from mailrelay.outbox import content, failpoints, leases, publish, scheduler, settle
from mailrelay.outbox.claim import Reservation
from mailrelay.outbox.errors import ContentRemovedError, LeaseLostError, OutboxError
from mailrelay.outbox.leases import Attempt
from mailrelay.outbox.settle import Result
from mailrelay.vocabulary import FromPolicy

log = logging.getLogger(__name__)

#: Seconds between two tries to record an answer while the database is away; the last one repeats.
RECORD_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)

#: Set when the process ends: an answer that cannot be recorded any more is found by its expired lease.
ending = threading.Event()


def deliver(delivery_id: int, token: UUID) -> None:
    """Carry out the reservation `token` of a delivery, if it still counts."""
    delivery = leases.take(delivery_id, token)
    if delivery is None:
        log.info("delivery %d is not this task's any more", delivery_id)
        return
    with leases.keeper.holding(delivery):
        try:
            reservations = _carry_out(delivery)
        except LeaseLostError:
            log.warning("lease lost before the request", extra={"message_id": delivery.message.queue_id})
            return
        except OutboxError as error:
            log.warning("the queue is out of reach (%s); the lease decides", error)
            return
        except Exception as error:
            log.exception("delivery crashed", extra={"message_id": delivery.message.queue_id})
            settle.crashed(delivery_id, token, _crash_text(error))
            return
    if reservations:
        publish.publish(reservations)
    else:
        # Nothing more through this mailbox: the free worker may be what another waits for.
        scheduler.poke()


def _carry_out(delivery: Delivery) -> list[Reservation]:
    credential = credential_of(delivery.mailbox.registration)
    try:
        mail = compose_for(delivery)
        _, store = tokens.edge()
        store.get(credential)
    except ContentRemovedError:
        return settle.put_off(delivery, removed())
    except TokenUnavailable as unavailable:
        return settle.put_off(delivery, result_of(unavailable.verdict))
    if circles(delivery, bytes(mail.parts[0])):
        return settle.put_off(delivery, circling())
    attempt = leases.begin(delivery, mail.size)
    failpoints.hit(failpoints.GRAPH_BEFORE)
    result = _request(delivery, credential, mail, attempt)
    failpoints.hit(failpoints.GRAPH_AFTER)
    log.info(
        "attempt %d: %s", attempt.number, result.outcome, extra={"message_id": delivery.message.queue_id}
    )
    return _record(attempt, result)


def compose_for(delivery: Delivery) -> Composed:
    """Read a delivery's mail and make it fit to be sent. Raises ContentRemovedError."""
    message = delivery.message
    return compose(
        content.read(message.pk),
        recipients=recipients_of(delivery),
        identity=identity_of(delivery.sender, delivery.mailbox.address),
        message_id=f"<{message.message_id}>",
        date=message.created_at,
    )


def recipients_of(delivery: Delivery) -> Sequence[str]:
    if delivery.sender.redirect_all_to:
        return [delivery.sender.redirect_all_to]
    return list(delivery.recipients.order_by("pk").values_list("address", flat=True))


def identity_of(sender: SenderConfig, mailbox_address: str) -> Identity:
    return Identity(
        policy=FromPolicy(sender.from_policy),
        mailbox_address=mailbox_address,
        addresses=sender.address_list,
        domains=sender.domain_list,
        rewrite_signed=sender.rewrite_signed,
    )


def _request(delivery: Delivery, credential: Credential, mail: Composed, attempt: Attempt) -> Result:
    """Send once; once more with a fresh token when Graph refused only that."""
    answer, verdict = _send(delivery, credential, mail, attempt, fresh=False)
    if verdict.retry_token:
        try:
            answer, verdict = _send(delivery, credential, mail, attempt, fresh=True)
        except TokenUnavailable as unavailable:
            return result_of(unavailable.verdict, answer)
    return result_of(verdict, answer)


def _send(
    delivery: Delivery, credential: Credential, mail: Composed, attempt: Attempt, *, fresh: bool
) -> tuple[Answer, Verdict]:
    session, store = tokens.edge()
    bearer = store.get(credential)
    answer = send_mime(
        session,
        bearer,
        credential,
        delivery.mailbox.graph_user,
        Base64Body(mail.parts, mail.size),
        client_request_id=attempt.client_request_id,
        timeout=Timeouts(total=float(settings.GRAPH_TIMEOUT)),
    )
    verdict = verdict_of(answer, token_is_fresh=fresh)
    code = verdict.code if verdict.code in CODES else ""  # what else Graph may call it is no label
    metrics.GRAPH_ANSWERS.labels(status=str(answer.status or "none"), code=code).inc()
    metrics.GRAPH_SECONDS.observe(answer.duration)
    if verdict.retry_token:
        store.invalidate(credential, bearer.value, claims=verdict.claims)
    return answer, verdict


def _record(attempt: Attempt, result: Result) -> list[Reservation]:
    """Settle, however long the database is away: the answer is known here and nowhere else."""
    for wait in chain(RECORD_WAITS, repeat(RECORD_WAITS[-1])):
        try:
            return settle.settle(attempt, result)
        except OutboxError:
            log.warning("an answer waits to be recorded: the database is out of reach")
            if ending.wait(wait):
                break
    raise OutboxError("The process ended before Graph's answer could be recorded.")


def _crash_text(error: Exception) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return (
        f"The gateway stumbled over this message ({type(error).__name__} at {at} UTC). "
        "The log of that moment has the details under the queue id."
    )
