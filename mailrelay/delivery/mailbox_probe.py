"""A mailbox that was throttled or at fault is asked without mail before mail goes through it again.

A mail that meets such an answer may be sent all the same, and so may each try of it. A request that carries
no mail finds out without that risk whether the trouble lasts, and uploads nothing.
"""

from dataclasses import replace
from uuid import uuid4

from mailrelay.delivery import tokens
from mailrelay.delivery.answers import counted
from mailrelay.delivery.results import result_of
from mailrelay.graph.answer import Answer
from mailrelay.graph.credentials import Credential
from mailrelay.graph.sendmail import probe_mailbox
from mailrelay.graph.tokens import Token
from mailrelay.models import Delivery
from mailrelay.outbox.db import clock
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Blame


def failing(delivery: Delivery, credential: Credential, token: Token) -> Result | None:
    """Say what still stops the mailbox of `delivery`; None where mail may go, or nothing has stopped it.

    While the mailbox rests nothing is asked: no attempt begins then.
    """
    paused = delivery.mailbox.paused_until
    if not delivery.mailbox.failures or (paused is not None and paused > clock.now()):
        return None
    session, _ = tokens.graph_clients()
    user = delivery.mailbox.graph_user
    probe = probe_mailbox(session, token, credential, user, client_request_id=str(uuid4()))
    counted(probe.answer, probe.verdict.code)
    if _serves(probe.answer):
        return None
    result = result_of(probe.verdict, probe.answer)
    return replace(result, blame=Blame.MAILBOX) if result.blame == Blame.MESSAGE else result


def _serves(answer: Answer) -> bool:
    """Whether Graph deals with requests: what else it says of this one, mail will meet with certainty."""
    return answer.status is not None and answer.status < 500 and answer.status not in {408, 429}
