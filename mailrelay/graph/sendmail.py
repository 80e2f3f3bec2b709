"""Send a whole MIME message by Graph's `sendMail`, and probe a mailbox without sending.

https://learn.microsoft.com/graph/api/user-sendmail: base64 of the MIME as text/plain; 202 says accepted.
"""

from dataclasses import dataclass, replace

from mailrelay.graph.answer import Answer, answer_of
from mailrelay.graph.credentials import Credential
from mailrelay.graph.errors import verdict_of
from mailrelay.graph.http import Body, GraphSession, Timeouts
from mailrelay.graph.paths import of_user
from mailrelay.graph.tokens import Token
from mailrelay.graph.verdict import Verdict

#: Not base64 in any reading, and no recipient if something decoded it nevertheless.
_NOT_BASE64 = b"#"


def send_mime(
    session: GraphSession,
    token: Token,
    credential: Credential,
    mailbox: str,
    body: Body | bytes,
    *,
    client_request_id: str,
    timeout: float | Timeouts = Timeouts(),  # noqa: B008 - frozen
) -> Answer:
    """Send once, never again by itself, and give the answer.

    `body` is the base64 of the MIME without line breaks; `mailbox` a user principal name or object id;
    `timeout` the total in seconds, or all of them. Network faults are part of the answer. Raises only what
    reading `body` raises, after which Graph has an incomplete request that it cannot act on.
    """
    headers = {
        "Authorization": f"Bearer {token.value}",
        "Content-Type": "text/plain",
        "client-request-id": client_request_id,
        "return-client-request-id": "true",
    }
    reply = session.request(
        "POST",
        f"{credential.resource}/v1.0{of_user(mailbox)}/sendMail",
        headers=headers,
        body=body,
        timeouts=timeout if isinstance(timeout, Timeouts) else Timeouts(total=timeout),
    )
    secrets = (token.value, credential.secret, credential.certificate_password)
    return answer_of(reply, mailbox=mailbox, body_size=len(body) * 3 // 4, secrets=secrets)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a mailbox would take mail; if not, `verdict` says why and what to do."""

    usable: bool
    verdict: Verdict
    answer: Answer


def probe_mailbox(
    session: GraphSession,
    token: Token,
    credential: Credential,
    mailbox: str,
    *,
    client_request_id: str,
    timeout: float | Timeouts = Timeouts(total=60.0),  # noqa: B008 - frozen
    token_is_fresh: bool = False,
) -> Probe:
    """Find out whether `mailbox` exists and may be sent from, without sending.

    A body which is not base64 is refused for that reason only when token, permission and mailbox are well;
    no document promises this order, but a 401, 403 or 404 is to be believed in any case. Costs one request
    of the mailbox's limits.
    """
    answer = send_mime(
        session, token, credential, mailbox, _NOT_BASE64, client_request_id=client_request_id, timeout=timeout
    )
    answer = replace(answer, body_sent=False)  # there was no mail that could have been sent
    usable = any(code.startswith("ErrorMimeContentInvalid") for code in answer.codes)
    return Probe(usable, verdict_of(answer, token_is_fresh=token_is_fresh), answer)
