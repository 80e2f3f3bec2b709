"""Checks a mail before its content, the same by SMTP and by HTTP.

All of it runs in the event loop of `context`, answers from memory, and takes no more than a moment.
"""

import logging

from mailrelay import metrics
from mailrelay.outbox.submission import NO_RECIPIENT_DSN, RecipientDsn
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import policy, replies, sizing
from mailrelay.smtp.context import Context
from mailrelay.smtp.message_checks import key_of
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.spool import MEMORY_LIMIT, Spool
from mailrelay.smtp.transaction import Peer, Transaction
from mailrelay.vocabulary import FromPolicy

logger = logging.getLogger(__name__)


def begin(
    context: Context, client: Client | None, mail_from: str, *, utf8: bool, size: int = 0
) -> Reply | None:
    """Say why a mail from `mail_from` is not begun; None where it is. `size` is bytes, 0 if not announced."""
    routing = context.routing()
    return (
        _rate_used_up(context, client)
        or policy.mail_from(routing, client, mail_from, utf8=utf8)
        or _no_room(context, client, size)
        or sizing.declared(routing, mail_from, size)
    )


def sender(routing: RoutingTable, client: Client, mail_from: str) -> Reply | None:
    """Say why mail from `mail_from` is not taken, where the address is known only from the content."""
    return policy.mail_from(routing, client, mail_from, utf8=True)


def add_recipient(
    context: Context,
    transaction: Transaction,
    peer: Peer,
    address: str,
    dsn_request: RecipientDsn = NO_RECIPIENT_DSN,
) -> Reply:
    """Add whom `address` stands for to `transaction`, or say why it is no recipient.

    Who is one already is not counted again.
    """
    routing, most = context.routing(), context.options.max_recipients
    meant = policy.rcpt_to(routing, transaction.client, peer.address, address, utf8=transaction.utf8)
    if isinstance(meant, Reply):
        return meant
    new = sum(not transaction.names(one) for one in meant)
    if new and len(transaction.named) + new > most:
        return Reply(f"452 4.5.3 Too many recipients: {most} at most in one message", "recipients")
    for one in meant:
        transaction.add(one, dsn_request if one == address else dsn_request.standing_for(address))
    return replies.RCPT_OK


def content(context: Context, client: Client, peer: Peer, size: int) -> Spool | Reply:
    """Give what the content goes into, or say why it must not come now. `size` is what was announced."""
    if refused := _full(context, client, peer):
        return refused
    if not context.space.has_room_for(max(size, MEMORY_LIMIT)):
        return replies.STORAGE_FULL
    lease = context.budget.lease(key_of(client, peer))
    if not lease.grow_to(size):
        metrics.SMTP_CONNECTIONS_DENIED.labels(cap="bytes").inc()
        return replies.PUT_OFF
    if client.id is not None and context.rates.take(client.id, *_rate_of(client)):
        lease.release()
        return _too_many_messages(client)
    return Spool(_largest(context, client), context.executor, context.spool_directory, lease)


def dropped(context: Context, client: Client | None, spool: Spool) -> Reply | None:
    """Say why `spool` holds nothing, if it had to drop the mail; it is closed then."""
    if not (spool.oversize or spool.put_off or spool.error):
        return None
    spool.close()
    if spool.oversize:
        return _oversize(context, client)
    if spool.put_off:
        metrics.SMTP_CONNECTIONS_DENIED.labels(cap="bytes").inc()
        return replies.PUT_OFF
    logger.error("the spool in %s failed", context.spool_directory, exc_info=spool.error)
    return replies.STORAGE_FULL if spool.full else replies.TRY_LATER


def _rate_used_up(context: Context, client: Client | None) -> Reply | None:
    if client is None or client.id is None:
        return None
    allowed = not context.rates.wait(client.id, *_rate_of(client))
    return None if allowed else _too_many_messages(client)


def _no_room(context: Context, client: Client | None, size: int) -> Reply | None:
    if size > _largest(context, client):
        return _oversize(context, client)
    return None if context.space.has_room_for(size) else replies.STORAGE_FULL


def _full(context: Context, client: Client, peer: Peer) -> Reply | None:
    """Whether all mail has to wait now; where there are several senders, the header says whose it is."""
    routing = context.routing()
    only = routing.senders[0] if len(routing.senders) == 1 else None
    if only is None or only.from_policy is FromPolicy.OWN_MAILBOX:
        return None
    return policy.backlogged(routing, only, only.mailbox_address, key_of(client, peer))


def _largest(context: Context, client: Client | None) -> int:
    """Bytes that a message of `client` may have."""
    listener = context.options.max_message_size
    own = client.max_message_size if client else 0
    return min(listener, own) if own else listener


def _oversize(context: Context, client: Client | None) -> Reply:
    limit = _largest(context, client)
    whose = "this server" if limit == context.options.max_message_size or not client else client.name
    return Reply(f"552 5.3.4 The message is larger than {limit} bytes, the maximum of {whose}", "size")


def _too_many_messages(client: Client) -> Reply:
    return Reply(
        f"450 4.7.1 Client {client.name} has sent its {client.messages_per_minute} messages of this minute, "
        "try again later: the limit is in its row",
        "client-rate",
    )


def _rate_of(client: Client) -> tuple[float, float]:
    """Return how many messages a client may send at once, and how many a second after that."""
    return client.messages_per_minute, client.messages_per_minute / 60.0
