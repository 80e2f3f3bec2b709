"""Requests about a mailbox beside its mail, within its slots."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from mailrelay.delivery import tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.graph.calls import Caller
from mailrelay.graph.http import Timeouts
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.models import Mailbox
from mailrelay.outbox.scheduling import side_requests

#: Seconds that one question may take.
TOTAL = 30.0


def caller_for(mailbox: Mailbox) -> Caller | None:
    """Return a caller with a token that is good; None where there is none to be had now."""
    credential = credential_of(mailbox.registration)
    session, _ = tokens.graph_clients()
    try:
        token = tokens.token_for(credential)
    except TokenUnavailable:
        return None
    return Caller(session, token, credential, mailbox.graph_user, str(uuid4()), Timeouts(total=TOTAL))


@contextmanager
def side_request(mailbox: Mailbox, requests: int) -> Iterator[Caller | None]:
    """Give a caller for about so many requests, with a slot of the mailbox; None where mail needs them all.

    The requests are made one after the other within the block.
    """
    caller = caller_for(mailbox)
    slot = side_requests.take(mailbox, requests) if caller is not None else None
    if slot is None:
        yield None
        return
    try:
        yield caller
    finally:
        side_requests.give_back(slot)
