"""The hand-over to the queue of record: 250 follows the commit, and nothing else does."""

import asyncio
import logging
import time
from concurrent.futures import CancelledError

from mailrelay import metrics, tracing
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.errors import DisownedError, RepeatedError, StorageFullError
from mailrelay.outbox.submission import Submission
from mailrelay.smtp import replies
from mailrelay.smtp.context import Context
from mailrelay.smtp.message_checks import Arrival, examine
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.sizing import UNKNOWN_YET
from mailrelay.smtp.spool import Spool

logger = logging.getLogger(__name__)

#: Seconds that large mail waits for a worker that has just begun to find out what its sender may do.
LARGE_WAIT, LARGE_LOOK = 6.0, 0.5


async def hand_over(context: Context, arrival: Arrival) -> Reply:
    """Examine and store a mail; the reply is certain, and comes within 10 s.

    The spool is closed when nothing reads it any more.
    """
    spool, started = arrival.spool, time.monotonic()
    try:
        examined = await _examined(context, arrival)
        while _unknown_yet(examined) and time.monotonic() - started < LARGE_WAIT:
            await asyncio.sleep(LARGE_LOOK)
            examined = await _examined(context, arrival)
    except BaseException:
        spool.close()
        raise
    if isinstance(examined, Reply):
        spool.close()
        return examined
    reply = await _store(
        context, examined, spool, context.options.accept_seconds - (time.monotonic() - started)
    )
    metrics.ACCEPT_SECONDS.observe(time.monotonic() - started)
    if reply.rule == replies.QUEUED:
        tracing.accepted(examined.id, time.monotonic() - started, size=spool.size)
        logger.info(
            "accepted: id=%s client=%s reply=250 rule=queued size=%d recipients=%d sender=%d",
            examined.id.hex,
            examined.client_address,
            spool.size,
            len(examined.recipients),
            examined.sender_id,
            extra={"message_id": examined.id.hex, "client": examined.client_address},
        )
    return reply


def _unknown_yet(examined: Submission | Reply) -> bool:
    return isinstance(examined, Reply) and examined.rule == UNKNOWN_YET


async def _examined(context: Context, arrival: Arrival) -> Submission | Reply:
    routing = context.routing()
    if arrival.quick:
        return examine(arrival, routing)
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(context.executor, examine, arrival, routing)
    done, _ = await asyncio.wait((work,), timeout=context.options.accept_seconds)
    if not done:
        work.cancel()
        logger.error("not examined in time: client=%s", arrival.peer.address)
        return replies.TRY_LATER
    return work.result()


async def _store(context: Context, submission: Submission, spool: Spool, seconds: float) -> Reply:
    try:
        outcome = context.acceptor.submit(submission)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client is told to come again
        spool.close()
        return _failed(submission, error)
    outcome.add_done_callback(lambda _: spool.close())
    try:
        known = await context.completions.wait(outcome, max(seconds, 0.1))
    except asyncio.CancelledError:
        # The drain is over: the client never heard a 250 and will come again.
        context.acceptor.disown(submission.id, outcome)
        raise
    if not known and context.acceptor.disown(submission.id, outcome):
        logger.error(
            "not stored in time, disowned: id=%s client=%s", submission.id.hex, submission.client_address
        )
        return replies.TRY_LATER
    failure = CancelledError() if outcome.cancelled() else outcome.exception()
    if failure is not None:
        return _failed(submission, failure)
    failpoints.hit(failpoints.REPLY_BEFORE)
    return replies.queued(submission.id)


def _failed(submission: Submission, error: BaseException) -> Reply:
    if isinstance(error, StorageFullError):
        logger.error(
            "not stored, no room left: id=%s client=%s", submission.id.hex, submission.client_address
        )
        return replies.STORAGE_FULL
    if isinstance(error, DisownedError):
        return replies.TRY_LATER
    if isinstance(error, RepeatedError):
        logger.info("repeated: id=%s client=%s", error.queue_id.hex, submission.client_address)
        return replies.repeated(error.queue_id, same=error.same)
    logger.error("not stored: id=%s client=%s", submission.id.hex, submission.client_address, exc_info=error)
    return replies.TRY_LATER
