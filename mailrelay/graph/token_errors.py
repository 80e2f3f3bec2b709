"""Judges Entra's refusals: `error` and the HTTP status first, AADSTS numbers only to be more precise.

Entra's own page warns that texts and numbers change. All these blame the credential: it waits, and other
credentials, whose tokens may be good for another hour, go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailrelay.graph.answer import MESSAGE_LIMIT, cut, parsed_json, retry_after
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import Reply
from mailrelay.graph.redaction import safe_line
from mailrelay.graph.verdict import Verdict
from mailrelay.vocabulary import Blame, CredentialKind, Outcome, Reason

_TRANSIENT_ERRORS = {"temporarily_unavailable", "server_error", "slow_down"}
_TRANSIENT_NUMBERS = {90006, 90012, 90024, 90033, 90055, 90090}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One meaning of a refusal by Entra."""

    reason: Reason
    sentence: str
    advice: str


_CLOUD = Refusal(
    Reason.CREDENTIAL_REFUSED,
    "The tenant {tenant} or what is asked of it belongs to another Microsoft cloud.",
    "Set AZURE_AUTHORITY_HOST and GRAPH_ENDPOINT to the same national cloud as the tenant.",
)
_CONDITIONAL_ACCESS = Refusal(
    Reason.CREDENTIAL_REFUSED,
    "A Conditional Access policy of the tenant {tenant} keeps the app registration {client} out.",
    "Allow the app, or the gateway's network, in the policy for workload identities.",
)
_NO_FEDERATION = Refusal(
    Reason.CREDENTIAL_REFUSED,
    "The app registration {client} has no federated credential for the gateway's identity token.",
    "Add one whose issuer, subject and audience are those of the token file.",
)

#: By AADSTS number.
NUMBERS: dict[int, Refusal] = {
    7000215: Refusal(
        Reason.SECRET_WRONG,
        "Entra says that the client secret of the app registration {client} is wrong.",
        "Enter the secret's value (not its id) from Certificates & secrets of the app registration.",
    ),
    7000222: Refusal(
        Reason.SECRET_EXPIRED,
        "The client secret of the app registration {client} has expired.",
        "Create a new secret in the app registration and enter its value here.",
    ),
    700016: Refusal(
        Reason.CREDENTIAL_REFUSED,
        "There is no app registration {client} in the tenant {tenant}.",
        "Correct the client id or the tenant id, or give admin consent in that tenant.",
    ),
    90002: Refusal(
        Reason.CREDENTIAL_REFUSED,
        "There is no tenant {tenant}.",
        "Correct the tenant id, and the authority host.",
    ),
    53003: _CONDITIONAL_ACCESS,
    530032: _CONDITIONAL_ACCESS,
    90038: _CLOUD,
    900382: _CLOUD,
    900432: _CLOUD,
    700027: Refusal(
        Reason.CREDENTIAL_REFUSED,
        "Entra does not accept the signature of the certificate for the app registration {client}.",
        "Upload this certificate to the app registration, and check this machine's clock.",
    ),
    700024: Refusal(
        Reason.CREDENTIAL_REFUSED,
        "Entra says that the assertion for the app registration {client} is not within its time.",
        "Check this machine's clock.",
    ),
    700211: _NO_FEDERATION,
    70021: _NO_FEDERATION,
    700213: _NO_FEDERATION,
    700212: _NO_FEDERATION,
}

#: By `error`, when no number is known.
ERRORS: dict[str, Refusal] = {
    "invalid_client": Refusal(
        Reason.CREDENTIAL_REFUSED,
        "Entra does not accept the proof of identity of the app registration {client}.",
        "Check its secret or certificate.",
    ),
    "unauthorized_client": Refusal(
        Reason.CREDENTIAL_REFUSED,
        "The app registration {client} may not ask the tenant {tenant} for tokens.",
        "Check the client id and the tenant id, and give admin consent.",
    ),
    "invalid_scope": _CLOUD,
    "invalid_resource": _CLOUD,
    "access_denied": _CONDITIONAL_ACCESS,
    "interaction_required": _CONDITIONAL_ACCESS,
    "invalid_grant": _CONDITIONAL_ACCESS,
}
_OTHER = Refusal(
    Reason.CREDENTIAL_REFUSED,
    "Entra refused a token for the app registration {client} in the tenant {tenant}.",
    "Check the app registration's settings against the error.",
)
#: Follows "gave no token for the app registration:"; what came as a token may be a secret and is not quoted.
UNUSABLE = (
    "its answer holds no token that can be used, which is one line of ASCII letters, digits and signs. If it "
    "lasts, something on the way changes the answers: check HTTPS_PROXY, NO_PROXY and AZURE_AUTHORITY_HOST."
)
_IDENTITY = Refusal(
    Reason.CREDENTIAL_MISSING,
    "This host gives no managed identity for the app registration {client}.",
    "Assign the identity to this host, or use a secret or certificate.",
)


def verdict_of_token_error(reply: Reply, credential: Credential) -> Verdict:
    """Give the meaning of the token endpoint's (or its discovery's) last reply, which brought no token."""
    if reply.status is None:
        what = reply.failure.text if reply.failure else "there was no answer"
        return _later(credential, reply, reply.failure.fault.value if reply.failure else "", f"{what}.")
    document = parsed_json(reply)
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        return _without_error_object(reply, credential)
    numbers = _numbers(document)
    code = f"AADSTS{numbers[0]}" if numbers else safe_line(document["error"], 100)
    says = _says(document, credential)
    if (
        reply.status in (408, 429)
        or reply.status >= 500
        or document["error"] in _TRANSIENT_ERRORS
        or any(number in _TRANSIENT_NUMBERS for number in numbers)
    ):
        return _later(credential, reply, code, f"it answered {reply.status}.{says}")
    return _refused(credential, _refusal(document["error"], numbers, credential), code, says)


def local_refusal(credential: Credential, problem: str) -> Verdict:
    """The credential cannot even be presented: a file is missing, a password is wrong.

    `problem` is a clause that says so.
    """
    return Verdict(
        Outcome.CONFIGURATION,
        Blame.CREDENTIAL,
        Reason.CREDENTIAL_MISSING,
        "local",
        f"The credential of the app registration {credential.client_id} cannot be used: {problem}.",
        "Fix the file, password or setting; it is read again at the next try.",
        enhanced_status="4.7.0",
    )


def _refusal(error: str, numbers: list[int], credential: Credential) -> Refusal:
    for number in numbers:
        if number in NUMBERS:
            return NUMBERS[number]
    if credential.kind is CredentialKind.MANAGED_IDENTITY:
        return _IDENTITY
    return ERRORS.get(error, _OTHER)


def _refused(credential: Credential, refusal: Refusal, code: str, says: str) -> Verdict:
    names = {"client": credential.client_id, "tenant": credential.tenant_id}
    return Verdict(
        Outcome.CONFIGURATION,
        Blame.CREDENTIAL,
        refusal.reason,
        code,
        refusal.sentence.format_map(names) + says,
        refusal.advice.format_map(names),
        enhanced_status="4.7.0",
    )


def _without_error_object(reply: Reply, credential: Credential) -> Verdict:
    """A page of a proxy (also with status 200), an edge fault, or a discovery that knows no such tenant."""
    if reply.status == 200 and reply.body.lstrip().startswith(b"{"):
        return _later(credential, reply, "HTTP 200", UNUSABLE)
    says = f"what answered {reply.status} is not Entra; check HTTPS_PROXY, NO_PROXY and AZURE_AUTHORITY_HOST."
    return _later(credential, reply, f"HTTP {reply.status}", says)


def _later(credential: Credential, reply: Reply, code: str, clause: str) -> Verdict:
    throttled = reply.status == 429
    where = (
        "The managed identity endpoint"
        if credential.kind is CredentialKind.MANAGED_IDENTITY
        else f"Entra at {credential.authority_host}"
    )
    return Verdict(
        Outcome.TRANSIENT,
        Blame.CREDENTIAL,
        Reason.THROTTLED
        if throttled
        else Reason.UNREACHABLE
        if reply.status is None
        else Reason.SERVER_ERROR,
        code,
        f"{where} gave no token for the app registration {credential.client_id}: {clause} "
        f"{cut(reply.headers)}".rstrip(),
        "A token that is still valid is used meanwhile. If it lasts, check the network and service health.",
        retry_after(reply.headers),
        enhanced_status="4.4.1",
    )


def _numbers(document: Mapping[str, Any]) -> list[int]:
    numbers = document.get("error_codes")
    return [number for number in numbers if isinstance(number, int)] if isinstance(numbers, list) else []


def _says(document: Mapping[str, Any], credential: Credential) -> str:
    description = document.get("error_description")
    if not isinstance(description, str) or not description:
        return ""
    secrets = (
        credential.secret,
        credential.next_secret,
        credential.certificate_password,
        credential.next_certificate_password,
    )
    # The first line says it; trace id, correlation id and time follow and are of use to support.
    return f" Entra says: {safe_line(description, MESSAGE_LIMIT, secrets=secrets)}"
