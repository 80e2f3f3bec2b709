"""Mail by HTTP: the raw message in, its queue id out, by the rules of SMTP (`mailrelay.smtp.injection`)."""

import hashlib
import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError

from mailrelay.api import access
from mailrelay.api.problems import ProblemError, bad_request
from mailrelay.console.protection import client_address
from mailrelay.models import ApiToken
from mailrelay.outbox.accepting import idempotency
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.keeping import seen_clients
from mailrelay.outbox.keeping.seen_clients import Refused
from mailrelay.outbox.submission import IdempotencyKey
from mailrelay.parsing import IDEMPOTENCY_KEY
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import injection, replies
from mailrelay.smtp.injection import InjectedMail, Injector
from mailrelay.smtp.replies import Reply, printable
from mailrelay.smtp.transaction import Peer
from mailrelay.vocabulary import Scope

log = logging.getLogger(__name__)

TYPE = "message/rfc822"
#: Bytes that are read at a time.
BLOCK = 64 * 1024
#: What a client that has sent too much waits, in seconds, where nothing tells it better.
WAIT = 10
#: The status of a refusal, by the rule that it goes by; else by the reply's own code.
STATUSES = {
    "size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "sendable-size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "mailbox-size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "header-size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "inseparable": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "client-rate": HTTPStatus.TOO_MANY_REQUESTS,
    "client-backlog": HTTPStatus.TOO_MANY_REQUESTS,
    "recipients": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency-key": HTTPStatus.UNPROCESSABLE_ENTITY,
    "token-client": HTTPStatus.FORBIDDEN,
    "client-network": HTTPStatus.FORBIDDEN,
    "client-from": HTTPStatus.FORBIDDEN,
    "client-recipient": HTTPStatus.FORBIDDEN,
    "from-policy": HTTPStatus.FORBIDDEN,
    "no-sender": HTTPStatus.FORBIDDEN,
}


def submitted(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """Take one message. The answer follows the commit; every refusal has the code that SMTP gives."""
    if request.content_type != TYPE:
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the message as {TYPE}.")
    key = _key(request, token)
    size = _size(request)
    injector = of_process()
    mail_from, recipients = _envelope(request)
    peer = Peer(client_address(request) or "unknown", name=token.name, secure=request.is_secure(), http=True)
    client = _client(injector.routing(), token, peer, mail_from or "")
    blocks = _blocks(request)
    mail = InjectedMail(client, peer, blocks, mail_from, recipients, size, key)
    if key and (known := _before(mail)):
        if not known.positive:
            _note(known, peer, client.name, mail_from or "")
        return answer(known)
    try:
        return answer(injector.take(mail))
    except UnreadablePostError:
        raise bad_request("The connection ended before the message did; nothing was stored.") from None


def of_process() -> Injector:
    """Give the injector of this process. Raises ProblemError while it takes no mail."""
    found = injection.of_process()
    if found is None:
        raise problem(replies.SHUTTING_DOWN)
    return found


def answer(reply: Reply) -> JsonResponse:
    """Make the answer to a reply: 202 with the queue id, or the problem. Raises ProblemError."""
    if not reply.positive:
        raise problem(reply)
    queue_id = reply.line.rpartition(" ")[2]
    headers = {"Location": f"/api/v1/messages/{queue_id}"}
    if reply.rule == replies.REPEATED:
        headers["Idempotent-Replayed"] = "true"
    return JsonResponse({"id": queue_id}, status=HTTPStatus.ACCEPTED, headers=headers)


def problem(reply: Reply) -> ProblemError:
    """Turn a negative reply of SMTP into a problem; what may work later says when to come again."""
    code, enhanced, text = reply.line.split(" ", 2)
    later = code.startswith("4")
    usual = HTTPStatus.SERVICE_UNAVAILABLE if later else HTTPStatus.UNPROCESSABLE_ENTITY
    status = HTTPStatus.SERVICE_UNAVAILABLE if code == "451" else STATUSES.get(reply.rule, usual)
    headers = {"Retry-After": str(WAIT)} if status in _LATER else {}
    members: dict[str, Any] = {"enhanced_status": enhanced, "smtp_code": int(code), "rule": reply.rule}
    return ProblemError(status, text, headers, **members)


_LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


def _client(routing: RoutingTable, token: ApiToken, peer: Peer, mail_from: str) -> Client:
    """Find the SMTP client whose rules hold. Raises ProblemError where there is none."""
    found = next((one for one in routing.clients if one.id == token.client_id and one.id), None)
    refused = _unknown(token) if found is None else _elsewhere(found, peer)
    if refused is not None:
        _note(refused, peer, found.name if found else "", mail_from)
        raise problem(refused)
    return cast("Client", found)


def _unknown(token: ApiToken) -> Reply:
    text = f"550 5.7.1 The token {token.name} has no active SMTP client whose rules hold"
    return Reply(text, "token-client")


def _elsewhere(client: Client, peer: Peer) -> Reply | None:
    text = f"550 5.7.1 Client {client.name} may not send from {peer.address}: see its networks"
    return None if client.may_come_from(peer.address) else Reply(text, "client-network")


def _note(reply: Reply, peer: Peer, client_name: str, mail_from: str) -> None:
    """Put what the injector never sees onto the list of what was refused; its loss changes no answer."""
    name, about, line = (printable(text) for text in (client_name, mail_from, reply.line))
    try:
        seen_clients.record((), [Refused(peer.address[:64], reply.rule, name, about, line)])
    except (DatabaseError, OutboxError) as error:
        log.warning("what was refused could not be written down (%s)", type(error).__name__)


def _envelope(request: HttpRequest) -> tuple[str | None, tuple[str, ...] | None]:
    """Read the envelope: `from` and `to` of the query, or X-Envelope-From and X-Envelope-To; else None."""
    unknown = set(request.GET) - {"from", "to"}
    if unknown:
        raise bad_request("The query may have from and to.")
    mail_from = request.GET.get("from", request.headers.get("X-Envelope-From"))
    named = request.GET.getlist("to")
    if not named and "X-Envelope-To" in request.headers:
        named = [request.headers["X-Envelope-To"]]
    words = [word.strip().strip("<>").strip() for text in named for word in text.split(",")]
    recipients = tuple(dict.fromkeys(word for word in words if word))
    plain = None if mail_from is None else mail_from.strip().strip("<>").strip()
    if any(not text.isprintable() for text in (*recipients, plain or "")):
        raise bad_request("An address of the envelope has control characters in it.")
    return plain, recipients if named else None


def _key(request: HttpRequest, token: ApiToken) -> str:
    """Give the SHA-256 of the token and its Idempotency-Key; empty where there is none."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise bad_request("Idempotency-Key has 1 to 255 printable ASCII characters.")
    return hashlib.sha256(f"{token.pk}\0{key}".encode()).hexdigest()


def _before(mail: InjectedMail) -> Reply | None:
    """Answer a repetition as the first was, whatever the rules are by now."""
    if idempotency.find(IdempotencyKey(mail.key)) is None:
        return None
    content = hashlib.sha256()
    for block in mail.blocks:
        content.update(block)
    known = idempotency.find(IdempotencyKey(mail.key, injection.fingerprint(mail, content.hexdigest())))
    return replies.repeated(known.queue_id, same=known.same) if known else None


def _size(request: HttpRequest) -> int:
    """Give the bytes that Content-Length announces, 0 for a chunked body. Raises ProblemError."""
    text = request.META.get("CONTENT_LENGTH") or ""
    if text.isascii() and text.isdigit():
        return int(text)
    if not request.META.get("wsgi.input_terminated"):
        raise ProblemError(HTTPStatus.LENGTH_REQUIRED, "Send Content-Length.")
    return 0


def _blocks(request: HttpRequest) -> Iterator[bytes]:
    if request.META.get("CONTENT_LENGTH"):
        while block := request.read(BLOCK):
            yield block
        return
    # Django takes a body without Content-Length for an empty one; the server says where it ends.
    while block := request.META["wsgi.input"].read(BLOCK):
        yield block


submission = access.resource(POST=(Scope.SUBMIT, submitted))
