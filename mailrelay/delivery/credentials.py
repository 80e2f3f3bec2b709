"""From an app registration's row to the credential that the Graph edge presents."""

from datetime import UTC, datetime

from django.conf import settings

from mailrelay.graph.credentials import Credential
from mailrelay.models import AppRegistration
from mailrelay.outbox.operators import environment
from mailrelay.vocabulary import CredentialKind, ManagedBy


def servable(registration: AppRegistration) -> bool:
    """Whether this process has what `registration` proves itself with."""
    return registration.managed_by != ManagedBy.ENVIRONMENT or environment.configured()


def certificate_end(credential: Credential) -> datetime | None:
    """When the credential's certificate ends; None where there is none that can be read."""
    if credential.kind is not CredentialKind.CERTIFICATE:
        return None
    # Here, since these parts of cryptography cost memory that no other kind of credential needs.
    from mailrelay.graph.certificates import CertificateError, expires_at

    try:
        return datetime.fromtimestamp(expires_at(credential), UTC)
    except CertificateError:
        return None


def credential_of(registration: AppRegistration) -> Credential:
    """Build the credential; the environment's secret comes from the environment, never from the row."""
    own = registration.managed_by == ManagedBy.ENVIRONMENT
    # A certificate of the variables comes before their secrets, the newer one among them.
    newer = settings.AZURE_CLIENT_NEXT_SECRET if registration.kind == CredentialKind.SECRET else ""
    password = settings.AZURE_CLIENT_CERTIFICATE_PASSWORD if own else registration.certificate_password
    return Credential(
        key=f"{registration.pk}:{registration.version}",
        tenant_id=registration.tenant_id,
        client_id=registration.client_id,
        authority_host=registration.authority_host,
        graph_endpoint=registration.graph_endpoint,
        kind=CredentialKind(registration.kind),
        secret=settings.AZURE_CLIENT_SECRET if own else registration.secret,
        next_secret=newer if own else registration.next_secret,
        certificate_pem="" if own else registration.certificate,
        certificate_path=registration.certificate_path,
        certificate_password=password,
        next_certificate_pem="" if own else registration.next_certificate,
        next_certificate_password="" if own else registration.next_certificate_password,
        token_file=registration.token_file,
    )
