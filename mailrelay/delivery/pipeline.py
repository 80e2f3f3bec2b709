"""The way of one delivery: lease, mail, token, attempt, request, record."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from mailrelay import metrics, tracing
from mailrelay.database import drop_connection_after
from mailrelay.delivery import large, mailbox_probe, outcome_lookup, tokens
from mailrelay.delivery.answers import judged
from mailrelay.delivery.credentials import credential_of
from mailrelay.delivery.mail_loops import circles
from mailrelay.delivery.memory_budget import MemoryShare, NoMemoryError, composing, needed, process_memory
from mailrelay.delivery.outcome_lookup import Finding, Found
from mailrelay.delivery.plan import NoRouteError, Plan, plan
from mailrelay.delivery.recipients import addresses_of
from mailrelay.delivery.results import (
    circling,
    inseparable,
    of_whole_mail,
    removed,
    result_of,
    uninvited,
    unreadable,
    without_route,
)
from mailrelay.graph.answer import Answer
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import Timeouts
from mailrelay.graph.sendmail import send_mime
from mailrelay.graph.tokens import Token, TokenUnavailable
from mailrelay.graph.verdict import Verdict
from mailrelay.mime.base64stream import Base64Body
from mailrelay.mime.compose import Composed
from mailrelay.mime.invitations import InvitationError
from mailrelay.mime.skeleton import NotSeparableError
from mailrelay.models import Delivery
from mailrelay.outbox.claiming import leases, publish
from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.errors import ContentRemovedError, LeaseLostError, OutboxError
from mailrelay.outbox.result import Result
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.settling import own_message_ids, request_size, settle
from mailrelay.vocabulary import Outcome, Route, UncertainPolicy, UnknownWordError

log = logging.getLogger(__name__)

UNSENT = "The database was out of reach before the request began; nothing was sent."
#: Seconds between two tries to record an answer while the database is away; the last one repeats.
RECORD_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)

#: Set when the process ends: an answer that cannot be recorded any more is found by its expired lease.
ending = threading.Event()


class AnswerLostError(Exception):
    """This process ends with an outcome that the database did not take: the expired lease decides."""


def deliver(delivery_id: int, token: UUID) -> None:
    """Carry out the reservation `token` of a delivery, if it still counts."""
    try:
        delivery = leases.take(delivery_id, token)
    except (OutboxError, DatabaseError) as error:
        drop_connection_after(error)
        log.warning("delivery %d could not be taken: the database is out of reach", delivery_id)
        return
    if delivery is None:
        log.info("delivery %d is not this task's any more", delivery_id)
        return
    message = delivery.message
    about = {"message_id": message.queue_id, "sender": delivery.sender.name, "client": message.client_address}
    with (
        leases.keeper.holding(delivery),
        tracing.about(**about),
        tracing.span("deliver", message.pk, delivery=delivery.pk, sender=delivery.sender.name),
    ):
        reservations = _guarded(delivery)
    if reservations:
        publish.publish(reservations)
    else:
        # Nothing more through this mailbox: the free worker may be what another waits for.
        scheduler.wake()


def _guarded(delivery: Delivery) -> list[Reservation]:
    """Carry out `delivery`, so that no fault of ours is taken for the message's, nor stops the others."""
    about = {"message_id": delivery.message.queue_id}
    try:
        with process_memory.taken(needed(delivery), ending) as memory_share:
            return _carry_out(delivery, memory_share)
    except NoMemoryError as error:
        text = str(error)
        return _recorded(lambda: settle.unsent(delivery, text))
    except LeaseLostError as error:
        log.warning("not sent: %s", error, extra=about)
    except AnswerLostError:
        log.warning("an answer of Graph could not be recorded; the lease decides", extra=about)
    except (OutboxError, OperationalError) as error:
        drop_connection_after(error)
        log.warning("the database was out of reach before the request", extra=about)
        return _recorded(lambda: settle.unsent(delivery, UNSENT))
    except Exception as error:  # a database that answers, with a fault of this message's rows, is one too
        drop_connection_after(error)
        log.exception("delivery crashed", extra=about)
        text = _crash_text(error)
        return _recorded(lambda: settle.crashed(delivery, text))
    return []


def _carry_out(delivery: Delivery, memory_share: MemoryShare) -> list[Reservation]:
    credential = credential_of(delivery.mailbox.registration)
    try:
        found = outcome_lookup.look(delivery, credential)
        if (
            found.finding is not Finding.CLEAR
            and (settled := _settled(delivery, credential, found)) is not None
        ):
            return settled
        own_message_ids.give_where_wanted(delivery)
        with composing(delivery):
            prepared = plan(delivery)
        if prepared.route is Route.MIME:
            memory_share.shrink(prepared.memory)
        token = tokens.token_for(credential)
    except ContentRemovedError as error:
        return settle.put_off(delivery, removed(error))
    except TokenUnavailable as unavailable:
        return settle.put_off(delivery, result_of(unavailable.verdict))
    except NoRouteError as error:
        return settle.put_off(delivery, without_route(error))
    except NotSeparableError as error:
        return settle.put_off(delivery, inseparable(error))
    except InvitationError as error:
        return settle.put_off(delivery, uninvited(error))
    except UnknownWordError as error:
        return settle.put_off(delivery, unreadable(delivery.sender.name, error))
    if circles(delivery, bytes(prepared.mail.parts[0])):
        return settle.put_off(delivery, circling())
    if prepared.route is Route.MIME and (failing := mailbox_probe.failing(delivery, credential, token)):
        return settle.put_off(delivery, failing, noted=False)
    second_copy = found.finding is not Finding.CLEAR
    attempt = leases.begin(delivery, prepared.size, prepared.route, second_copy=second_copy)
    failpoints.hit(failpoints.GRAPH_BEFORE)
    if prepared.route is Route.LARGE:
        result = large.send(delivery, credential, prepared, attempt, ending)
    else:
        result = _request(delivery, credential, prepared.mail, attempt, token)
    if result.refused:
        result = replace(result, refused=addresses_of(result.refused, bytes(prepared.mail.parts[0])))
    failpoints.hit(failpoints.GRAPH_AFTER)
    log.info(
        "attempt %d: %s", attempt.number, result.outcome, extra={"message_id": delivery.message.queue_id}
    )
    reservations = _recorded(lambda: settle.settle(attempt, result))
    _measured(delivery, result)
    if result.outcome is Outcome.SENT:
        _remember(delivery, prepared)
    return reservations


def _remember(delivery: Delivery, sent: Plan) -> None:
    """Note what size Graph took whole, and what the mail lost on its way."""
    try:
        if sent.route is Route.MIME:
            request_size.was_taken(delivery.mailbox, sent.size)
        if losses := " ".join(sent.losses):
            settle.remark(delivery, f"Sent with changes: {losses}")
    except OutboxError:
        log.info("how it was sent is not on record", extra={"message_id": delivery.message.queue_id})


def _measured(delivery: Delivery, result: Result) -> None:
    metrics.ATTEMPTS.labels(sender=delivery.sender.name, outcome=result.outcome).inc()
    if result.outcome is Outcome.SENT:
        # This host's clock: the database's may have to be asked, and what is settled must not fail any more.
        metrics.DELIVERY_SECONDS.observe(max(0.0, (timezone.now() - delivery.aged_from).total_seconds()))


def _settled(delivery: Delivery, credential: Credential, found: Found) -> list[Reservation] | None:
    """Deal with mail that may have been sent already; None when it is to be sent again."""
    assert found.attempt is not None
    attempt = found.attempt
    if found.finding is Finding.UNSENT:
        return _sent_again(delivery, credential, found)
    result = found.result
    if found.finding is Finding.SENT:
        return _recorded(lambda: settle.settle(attempt, result))
    if found.finding in outcome_lookup.WAITS:
        return settle.unresolved(delivery, result)
    resent = delivery.sender.uncertain_policy == UncertainPolicy.RESEND and not delivery.copies
    if delivery.copy_allowed or (resent and found.finding is Finding.UNKNOWN):
        return None
    return settle.unresolvable(delivery, attempt, result, draft_is_gone=found.finding is Finding.LOST)


def _sent_again(delivery: Delivery, credential: Credential, found: Found) -> list[Reservation]:
    """Send the draft of an earlier attempt, whole and not sent: no second copy can come of it."""
    attempt = leases.begin(delivery, 0, Route.LARGE)
    result = large.send_draft(delivery, credential, attempt, found.draft_id, ending)
    reservations = _recorded(lambda: settle.settle(attempt, result))
    _measured(delivery, result)
    return reservations


def _request(
    delivery: Delivery, credential: Credential, mail: Composed, attempt: Attempt, token: Token
) -> Result:
    """Send once with `token`; once more with a fresh one when Graph refused only that."""
    answer, verdict = _send(delivery, credential, mail, attempt, token, fresh=False)
    if verdict.retry_token:
        try:
            token = tokens.token_for(credential)
        except TokenUnavailable as unavailable:
            return result_of(unavailable.verdict, answer)
        answer, verdict = _send(delivery, credential, mail, attempt, token, fresh=True)
    return of_whole_mail(verdict, answer)


def _send(
    delivery: Delivery,
    credential: Credential,
    mail: Composed,
    attempt: Attempt,
    bearer: Token,
    *,
    fresh: bool,
) -> tuple[Answer, Verdict]:
    session, store = tokens.graph_clients()
    answer = send_mime(
        session,
        bearer,
        credential,
        delivery.mailbox.graph_user,
        Base64Body(mail.parts, mail.size),
        client_request_id=attempt.client_request_id,
        timeout=Timeouts(total=float(settings.GRAPH_TIMEOUT)),
    )
    verdict = judged(answer, token_is_fresh=fresh)
    if verdict.retry_token:
        store.invalidate(credential, bearer.value, claims=verdict.claims)
    return answer, verdict


def _recorded(record: Callable[[], list[Reservation]]) -> list[Reservation]:
    """Put on record what is known here and nowhere else, however long the database is away.

    Raises AnswerLostError when the process has to end before that.
    """
    for wait in chain(RECORD_WAITS, repeat(RECORD_WAITS[-1])):
        try:
            return record()
        except OutboxError:
            log.warning("the outcome of a delivery waits to be recorded: the database is out of reach")
            if ending.wait(wait):
                break
    raise AnswerLostError("The process ended before the outcome could be recorded.")


def _crash_text(error: Exception) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return (
        f"The gateway stumbled over this message ({type(error).__name__} at {at} UTC). "
        "The log of that moment has the details under the queue id."
    )
