"""From an app registration's row to the credential that the Graph edge presents."""

from django.conf import settings

from mailrelay.graph.credentials import Credential
from mailrelay.models import AppRegistration
from mailrelay.outbox import environment
from mailrelay.vocabulary import CredentialKind, ManagedBy


def servable(registration: AppRegistration) -> bool:
    """Whether this process has what `registration` proves itself with."""
    return registration.managed_by != ManagedBy.ENVIRONMENT or environment.configured()


def credential_of(registration: AppRegistration) -> Credential:
    """Build the credential; the environment's secret comes from the environment, never from the row."""
    own = registration.managed_by == ManagedBy.ENVIRONMENT
    password = settings.AZURE_CLIENT_CERTIFICATE_PASSWORD if own else registration.certificate_password
    return Credential(
        key=f"{registration.pk}:{registration.version}",
        tenant_id=registration.tenant_id,
        client_id=registration.client_id,
        authority_host=registration.authority_host,
        graph_endpoint=registration.graph_endpoint,
        kind=CredentialKind(registration.kind),
        secret=settings.AZURE_CLIENT_SECRET if own else registration.secret,
        certificate_path=registration.certificate_path,
        certificate_password=password,
        token_file=registration.token_file,
    )
