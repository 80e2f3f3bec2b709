"""One caller's requests about one mailbox, for operations that take more than one of them."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mailrelay.graph.answer import Answer, answer_of, parsed_json
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import Body, GraphSession, Phase, Reply, Timeouts
from mailrelay.graph.paths import of_user
from mailrelay.graph.tokens import Token

#: With it an id stays the same when a message moves from Drafts to Sent Items
#: (https://learn.microsoft.com/graph/outlook-immutable-id); on every call, or ids do not match.
IMMUTABLE: Final = 'IdType="ImmutableId"'

# The resource of a draft repeats its whole text and may be cut; its id stands near the start.
_ID = re.compile(rb'"id"\s*:\s*"((?:[^"\\]|\\.)+)"')


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, and its JSON for who made the call: that may hold mail, and is neither shown nor kept."""

    answer: Answer
    document: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def status(self) -> int | None:
        return self.answer.status


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose requests these are, and about which mailbox. `mailbox` is what stands in the URL."""

    session: GraphSession
    token: Token
    credential: Credential
    mailbox: str
    client_request_id: str
    timeouts: Timeouts = Timeouts()  # noqa: RUF009 - frozen

    def request(
        self,
        method: str,
        path: str,
        body: Body | bytes = b"",
        *,
        content_type: str = "application/json",
        reply_limit: int | None = None,
    ) -> Response:
        """Make one request below `/users/{mailbox}`, once. Network faults are part of the answer.

        `reply_limit` is how many bytes of the reply are read, where more than usual are wanted.
        """
        return self._request(method, path, body, content_type, reply_limit)[1]

    def fetch(self, path: str) -> tuple[bytes, Response]:
        """Get what is no JSON: the beginning of the body, as far as a reply is read, with the answer."""
        reply, response = self._request("GET", path, b"", "")
        return (reply.body if response.status == 200 else b""), response

    def _request(
        self, method: str, path: str, body: Body | bytes, content_type: str, reply_limit: int | None = None
    ) -> tuple[Reply, Response]:
        headers = {
            "Authorization": f"Bearer {self.token.value}",
            "client-request-id": self.client_request_id,
            "return-client-request-id": "true",
            "Prefer": IMMUTABLE,
        }
        if len(body):
            headers["Content-Type"] = content_type
        reply = self.session.request(
            method,
            f"{self.credential.resource}/v1.0{of_user(self.mailbox)}{path}",
            headers=headers,
            body=body,
            timeouts=self.timeouts,
            reply_limit=reply_limit,
        )
        secrets = (self.token.value, self.credential.secret, self.credential.certificate_password)
        return reply, response_of(reply, mailbox=self.mailbox, body_size=len(body), secrets=secrets)


def response_of(reply: Reply, *, mailbox: str, body_size: int, secrets: tuple[str, ...] = ()) -> Response:
    """Take a reply apart. What a success says stays out of what is stored: it repeats the mail."""
    answer = answer_of(reply, mailbox=mailbox, body_size=body_size, secrets=secrets)
    if not body_size:  # without a body the head alone counts, and it may not have left at all
        answer = replace(answer, body_sent=reply.phase in {Phase.WAITING, Phase.READING})
    document = parsed_json(reply)
    if reply.status is not None and reply.status < 300:
        answer = replace(answer, raw="")
    if not isinstance(document, dict):
        found = _ID.search(reply.body) if reply.status == 201 else None
        document = {"id": found[1].decode("utf-8", "replace")} if found else {}
    return Response(answer, document)
