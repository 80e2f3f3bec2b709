"""One acquisition of one token through msal, with our own connections under it.

Each acquisition has its own msal application: msal answers again from its cache of errors for a minute after
the cause is fixed, raises although it holds a valid token when Entra is down, and does not keep two threads
from asking at once. None of that matters to an object that lives for one request.
"""

import base64
import binascii
import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msal
from requests.structures import CaseInsensitiveDict

from mailrelay.graph.answer import parsed_json
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import GraphSession, Reply, Timeouts
from mailrelay.graph.token_errors import local_refusal, verdict_of_token_error
from mailrelay.graph.verdict import Verdict
from mailrelay.vocabulary import CredentialKind, Reason

log = logging.getLogger(__name__)

TOKEN_TIMEOUTS = Timeouts(connect=10.0, stall=10.0, total=30.0)

_FALLBACK_LIFETIME = 3_599.0  # seconds; Entra's usual value
#: Entra's own tokens hold for 28 hours at most (continuous access evaluation).
_LONGEST_LIFETIME = 172_800.0
#: What can stand in an Authorization header; a b64token of RFC 6750 is less than that.
_TOKEN = re.compile(r"[!-~]+")
#: Seconds by which a clock may be set back without a token being taken for one of the future.
_CLOCK = 60.0
#: Refusals of one secret or certificate that say nothing about another.
_OF_PROOF = (
    Reason.SECRET_WRONG,
    Reason.SECRET_EXPIRED,
    Reason.CREDENTIAL_REFUSED,
    Reason.CREDENTIAL_MISSING,
)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token for Graph. `roles` is for diagnostics only: None is "unknown", never "nothing"."""

    value: str = field(repr=False)
    expires_at: float  # unix seconds
    acquired_at: float  # unix seconds
    roles: tuple[str, ...] | None = None
    proof: str = ""  # the field of the credential that it was given for, where there was a choice

    def holds(self, now: float) -> bool:
        """Whether it has not expired. By a clock that was set back it would seem to hold for days."""
        return self.acquired_at - _CLOCK <= now < self.expires_at


class TokenUnavailable(Exception):  # noqa: N818 - it is a state of affairs rather than a mistake
    """There is no token for now; `verdict` says why, what waits, and what to do."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


class _LocalError(Exception):
    """A credential that cannot be presented. The text is ours, so that no library's quotes a secret."""


class _NoAnswerError(Exception):
    """The token endpoint was not reached, or gave no JSON; the reply is in the transport."""


@dataclass(frozen=True, slots=True)
class _Response:
    """What msal wants of an HTTP response."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise _NoAnswerError


class Transport:
    """msal's `http_client` over our session; remembers the last reply, from which errors are judged."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self.last: Reply | None = None

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> _Response:
        return self._send("GET", _with_query(url, params), headers or {}, b"")

    def post(
        self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any
    ) -> _Response:
        form = data if isinstance(data, str | bytes) else urlencode(_present(data))
        body = form.encode() if isinstance(form, str) else form
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self._send("POST", _with_query(url, params), headers, body)

    def close(self) -> None:
        """The session is not ours to close."""

    def _send(self, method: str, url: str, headers: Mapping[str, Any], body: bytes) -> _Response:
        texts = {name: str(value) for name, value in _present(headers).items()}
        self.last = self._session.request(method, url, headers=texts, body=body, timeouts=TOKEN_TIMEOUTS)
        # msal logs whole what it cannot read, and a token may be part of it.
        document = parsed_json(self.last)
        if self.last.status is None or not isinstance(document, dict):
            raise _NoAnswerError
        # Written again: msal reads no byte order mark.
        return _Response(self.last.status, json.dumps(document), CaseInsensitiveDict(self.last.headers))


def acquire(credential: Credential, session: GraphSession, *, claims: str | None = None) -> Token:
    """Fetch a new token. Raises TokenUnavailable.

    `claims` is the JSON of a claims challenge to be answered.
    """
    newer = credential.newer
    if newer is None:
        return _acquire(credential, session, claims)
    return _by_either(newer, credential.older, session, claims)


def _by_either(newer: Credential, older: Credential, session: GraphSession, claims: str | None) -> Token:
    """Try the newer proof, and the older one when Entra refuses that: during a change either may be good.

    Entra takes minutes until a new one counts everywhere, and an old one may be deleted at any time.
    """
    try:
        return replace(_acquire(newer, session, claims), proof=f"next_{newer.kind}")
    except TokenUnavailable as unavailable:
        without = older.kind is CredentialKind.SECRET and not older.secret
        if unavailable.verdict.reason not in _OF_PROOF or without:
            raise
        log.warning(
            "Entra does not take the newer %s of the app registration %s; the older one is tried",
            newer.kind,
            newer.client_id,
        )
    return replace(_acquire(older, session, claims), proof=str(older.kind))


def _acquire(credential: Credential, session: GraphSession, claims: str | None) -> Token:
    transport = Transport(session)
    before = time.time()
    try:
        result = _ways[credential.kind](credential, transport, claims)
    except _LocalError as problem:
        raise TokenUnavailable(local_refusal(credential, str(problem))) from None
    except _NoAnswerError:
        result = {}
    except Exception as error:  # noqa: BLE001 - msal raises ValueError, KeyError, JSONDecodeError and its own
        # The type alone: msal's texts quote what they could not read. The verdict comes from the reply.
        log.info("msal gave up on the app registration %s: %s", credential.client_id, type(error).__name__)
        result = {}
    value = result.get("access_token") if isinstance(result, dict) else None
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise TokenUnavailable(_verdict(credential, transport.last)) from None
    return Token(value, before + _lifetime(result), before, roles_of(value))


def _verdict(credential: Credential, last: Reply | None) -> Verdict:
    if last is None:
        return local_refusal(credential, "it could not be presented to Entra; a setting is malformed")
    return verdict_of_token_error(last, credential)


def _application(credential: Credential, transport: Transport, proof: Any, claims: str | None) -> Any:
    if not credential.authority_host.startswith("https://"):
        raise _LocalError(f"its authority host is {credential.authority_host or 'not set'}, not an https URL")
    application = msal.ConfidentialClientApplication(
        credential.client_id,
        authority=credential.authority,
        client_credential=proof,
        # Otherwise msal asks login.microsoftonline.com about unknown authorities, and after errors.
        instance_discovery=False,
        http_client=transport,
    )
    return application.acquire_token_for_client([credential.scope], claims_challenge=claims)


def _by_secret(credential: Credential, transport: Transport, claims: str | None) -> Any:
    if not credential.secret:
        raise _LocalError("its client secret is not set")
    return _application(credential, transport, credential.secret, claims)


def _by_certificate(credential: Credential, transport: Transport, claims: str | None) -> Any:
    # Here, since these parts of cryptography cost memory that no other kind of credential needs.
    from mailrelay.graph.certificates import CertificateError, client_certificate

    try:
        proof = client_certificate(credential)
    except CertificateError as problem:
        raise _LocalError(str(problem)) from None
    return _application(credential, transport, proof, claims)


def _by_federation(credential: Credential, transport: Transport, claims: str | None) -> Any:
    problems: list[str] = []

    def assertion() -> str:
        """Read at each use: the platform rotates the file within the hour."""
        try:
            return Path(credential.token_file).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            problems.append(f"the token file {credential.token_file or '(not set)'} cannot be read")
            raise

    try:
        return _application(credential, transport, {"client_assertion": assertion}, claims)
    finally:
        if problems:
            raise _LocalError(problems[0]) from None


def _by_managed_identity(credential: Credential, transport: Transport, claims: str | None) -> Any:
    identity = (
        msal.UserAssignedManagedIdentity(client_id=credential.client_id)
        if credential.client_id
        else msal.SystemAssignedManagedIdentity()
    )
    client = msal.ManagedIdentityClient(identity, http_client=transport)
    return client.acquire_token_for_client(resource=credential.resource, claims_challenge=claims)


_ways: dict[CredentialKind, Callable[[Credential, Transport, str | None], Any]] = {
    CredentialKind.SECRET: _by_secret,
    CredentialKind.CERTIFICATE: _by_certificate,
    CredentialKind.FEDERATED: _by_federation,
    CredentialKind.MANAGED_IDENTITY: _by_managed_identity,
}


def roles_of(token: str) -> tuple[str, ...] | None:
    """The app roles that a token names; None if it names none, which is normal under Exchange's RBAC."""
    roles = _claims_of(token).get("roles")
    return tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else None


def holder_of(token: str) -> tuple[str, str]:
    """The tenant and the application that a token was given to, as ids; empty where it does not say.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference: tid, and appid or azp.
    """
    claims = _claims_of(token)
    return str(claims.get("tid") or ""), str(claims.get("appid") or claims.get("azp") or "")


def _claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _lifetime(result: Mapping[str, Any]) -> float:
    try:
        seconds = float(result.get("expires_in", _FALLBACK_LIFETIME))
    except (TypeError, ValueError, OverflowError):
        return _FALLBACK_LIFETIME
    return min(max(0.0, seconds), _LONGEST_LIFETIME) if math.isfinite(seconds) else _FALLBACK_LIFETIME


def _present(items: Any) -> dict[Any, Any]:
    return {name: value for name, value in dict(items or {}).items() if value is not None}


def _with_query(url: str, params: Any) -> str:
    query = urlencode(_present(params))
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url
