"""App registrations: whether each gets a token, and what the token may do."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mailrelay.delivery.credentials import credential_of, servable
from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.graph.credentials import Credential
from mailrelay.graph.entra import Token, TokenUnavailable, acquire
from mailrelay.graph.http import GraphSession
from mailrelay.models import AppRegistration
from mailrelay.models.encrypted import WrongFieldKeyError
from mailrelay.vocabulary import CredentialKind, Outcome

CHECK = Check("app registration")
DAY = 86_400
#: Days before its end at which a certificate is worth a warning.
NOTICE = 30


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registration that this process can try."""

    registration: AppRegistration
    credential: Credential


def candidates() -> tuple[list[Candidate], list[Finding]]:
    """Load every active registration; those that cannot be tried from here come as findings."""
    found: list[Candidate] = []
    findings: list[Finding] = []
    for pk, name in AppRegistration.objects.filter(active=True).order_by("name").values_list("pk", "name"):
        try:
            registration = AppRegistration.objects.get(pk=pk)
        except WrongFieldKeyError as error:
            findings.append(CHECK.problem(f"{name}: {error}", "Or: manage.py config apply FILE.yaml"))
            continue
        if servable(registration):
            found.append(Candidate(registration, credential_of(registration)))
        else:
            findings.append(
                CHECK.warning(
                    f"{name} is the environment's, and this process lacks its variables: it was not tried.",
                    "Run doctor where a worker with AZURE_TENANT_ID, AZURE_CLIENT_ID and SENDER_EMAIL runs.",
                )
            )
    return found, findings


def token_of(candidate: Candidate, session: GraphSession) -> tuple[Token | None, list[Finding]]:
    """Ask for a token, which changes nothing anywhere; return it with what there is to say."""
    name = candidate.registration.name
    try:
        token = acquire(candidate.credential, session)
    except TokenUnavailable as unavailable:
        verdict = unavailable.verdict
        passing = verdict.outcome == Outcome.TRANSIENT
        make = CHECK.warning if passing and verdict.retry_after else CHECK.problem
        return None, [make(f"{name} gets no token: {verdict.sentence}", verdict.advice)]
    more = (*_certificate(candidate), *_secrets(candidate.registration, token))
    return token, [_roles(name, token), *more, *_standing(candidate.registration)]


def _roles(name: str, token: Token) -> Finding:
    if token.roles is None:
        return CHECK.ok(f"{name} gets a token. Roles: unknown (normal under RBAC for Applications).")
    roles = ", ".join(token.roles) or "none"
    if "Mail.Send" in token.roles:
        return CHECK.ok(
            f"{name} gets a token. Roles: {roles}. Mail.Send is for every mailbox of the tenant; RBAC for "
            "Applications narrows that."
        )
    return CHECK.ok(
        f"{name} gets a token. Roles: {roles}. Mail.Send is not among them, which is normal under RBAC for "
        "Applications."
    )


def _certificate(candidate: Candidate) -> Iterator[Finding]:
    if candidate.credential.kind != CredentialKind.CERTIFICATE:
        return
    from mailrelay.graph.certificates import CertificateError, expires_at

    try:
        days = (expires_at(candidate.credential) - time.time()) / DAY
    except CertificateError:
        return  # it was just used: somebody replaces the file at this moment
    if days < NOTICE:
        yield CHECK.warning(
            f"The certificate of {candidate.registration.name} ends in {max(0, int(days))} days.",
            "Upload its successor under Certificates & secrets, then put it in the place of the file.",
        )


def _secrets(registration: AppRegistration, token: Token) -> Iterator[Finding]:
    """Say which of two proofs works, and which ends soon."""
    newer = "certificate" if registration.next_certificate else "secret"
    if token.proof.startswith("next_"):
        yield CHECK.ok(f"{registration.name} uses its newer {newer}; the older one can go.")
    elif token.proof:
        yield CHECK.warning(
            f"{registration.name} has a newer {newer}, which Entra does not take: the older one was used.",
            "Compare the newer one with Certificates & secrets of the app registration, and enter it again.",
        )
    for column, end in registration.endings().items():
        days = (end.timestamp() - time.time()) / DAY
        replaced = column == "secret" and token.proof.startswith("next_")
        if "certificate" not in column and days < NOTICE and not replaced:
            yield CHECK.warning(
                f"The {column.replace('_', ' ')} of {registration.name} ends in {max(0, int(days))} days.",
                "Make its successor in Entra ID and enter it as the next secret; both work meanwhile.",
            )


def _standing(registration: AppRegistration) -> Iterator[Finding]:
    """Say so where the workers see a registration fail that works from here."""
    if registration.failing:
        since = registration.failing_since
        at = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
        yield CHECK.warning(
            f"{registration.name} works from here, but fails for the workers{at}: "
            f"{registration.failing_text}",
            "It is tried again within 30 s. If it goes on, compare the workers' variables, proxy and clock.",
        )
