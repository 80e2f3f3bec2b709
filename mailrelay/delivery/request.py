"""The request that sends a mail: whole in one, or as a draft and uploads."""

from dataclasses import replace

from django.conf import settings

from mailrelay.delivery import large, tokens
from mailrelay.delivery.answers import judged
from mailrelay.delivery.plan import Plan
from mailrelay.delivery.recipients import addresses_of
from mailrelay.delivery.recording import ending
from mailrelay.delivery.results import of_whole_mail, result_of
from mailrelay.graph.answer import Answer
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import Timeouts
from mailrelay.graph.sendmail import send_mime
from mailrelay.graph.tokens import Token, TokenUnavailable
from mailrelay.graph.verdict import Verdict
from mailrelay.mime.base64stream import Base64Body
from mailrelay.mime.compose import Composed
from mailrelay.models import Delivery
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Route


def send(delivery: Delivery, credential: Credential, mail: Plan, attempt: Attempt, token: Token) -> Result:
    """Carry out `attempt` on the route of `mail`; who was refused is named by address."""
    failpoints.hit(failpoints.GRAPH_BEFORE)
    if mail.route is Route.LARGE:
        result = large.send(delivery, credential, mail, attempt, ending)
    else:
        result = _send_whole(delivery, credential, mail.mail, attempt, token)
    if result.refused:
        result = replace(result, refused=addresses_of(result.refused, bytes(mail.mail.parts[0])))
    failpoints.hit(failpoints.GRAPH_AFTER)
    return result


def _send_whole(
    delivery: Delivery, credential: Credential, mail: Composed, attempt: Attempt, token: Token
) -> Result:
    """Send once with `token`; once more with a fresh one when Graph refused only that."""
    answer, verdict = _post(delivery, credential, mail, attempt, token, fresh=False)
    if verdict.retry_token:
        try:
            token = tokens.token_for(credential)
        except TokenUnavailable as unavailable:
            return result_of(unavailable.verdict, answer)
        answer, verdict = _post(delivery, credential, mail, attempt, token, fresh=True)
    return of_whole_mail(verdict, answer)


def _post(
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
