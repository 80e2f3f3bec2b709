"""Who asks Microsoft about a mailbox, beside the mail that is sent through it."""

from uuid import uuid4

from mailrelay.delivery import tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.graph.calls import Caller
from mailrelay.graph.http import Timeouts
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.models import Mailbox

#: Seconds that one question may take.
TOTAL = 30.0


def caller_for(mailbox: Mailbox) -> Caller | None:
    """Return a caller with a token that is good; None where there is none to be had now."""
    credential = credential_of(mailbox.registration)
    session, _ = tokens.edge()
    try:
        token = tokens.token_for(credential)
    except TokenUnavailable:
        return None
    return Caller(session, token, credential, mailbox.graph_user, str(uuid4()), Timeouts(total=TOTAL))
