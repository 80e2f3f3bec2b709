"""The form of an app registration; what a new one proves itself with goes in, and never comes out."""

import posixpath
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from mailrelay.clouds import ENDPOINTS
from mailrelay.console.fields import (
    ClientIdField,
    HttpsOriginField,
    NewCertificateField,
    NewSecretField,
    TenantField,
)
from mailrelay.console.generic import ModelForm
from mailrelay.console.proof_form import end_of, value_of
from mailrelay.graph.credentials import GLOBAL_AUTHORITY, GLOBAL_GRAPH
from mailrelay.models import AppRegistration
from mailrelay.models.senders import SECRETS
from mailrelay.vocabulary import Cloud, CredentialKind

#: Fields of a new row for what can be entered and not read back, and their columns. In a row that mail
#: depends on, secrets are replaced on a page that tries them first.
ENTERED = {
    "new_secret": "secret",
    "new_certificate": "certificate",
    "new_certificate_password": "certificate_password",
}
ELSEWHERE = (
    "This host is neither one of Microsoft's nor the environment's ({variable}). A row for any other comes "
    "from a file on the host: manage.py config apply."
)
OUTSIDE = (
    "A token file lies below {directories} (WEB_TOKEN_FILE_DIRECTORIES) or is AZURE_FEDERATED_TOKEN_FILE's "
    "own, since what it holds is sent away. A row with any other comes from a file on the host: manage.py "
    "config apply."
)
#: What of a row says where secrets and tokens go, and the variable that names that place for the host.
PLACES = {"authority_host": "AZURE_AUTHORITY_HOST", "graph_endpoint": "GRAPH_ENDPOINT"}
ENCRYPTED = "It is encrypted, and never shown again."


class RegistrationForm(ModelForm[AppRegistration]):
    tenant_id = TenantField(label="Tenant id", help_text="Directory (tenant) ID, or a domain of the tenant.")
    client_id = ClientIdField(label="Client id", help_text="Application (client) ID.")
    authority_host = HttpsOriginField(
        label="Authority",
        initial=GLOBAL_AUTHORITY,
        help_text="Where tokens come from: a host of Microsoft's, or AZURE_AUTHORITY_HOST.",
    )
    graph_endpoint = HttpsOriginField(
        label="Graph endpoint",
        initial=GLOBAL_GRAPH,
        help_text="Where mail goes to: a host of Microsoft's, or GRAPH_ENDPOINT.",
    )
    new_secret = NewSecretField(label="Client secret", help_text=ENCRYPTED)
    new_certificate = NewCertificateField(label="Certificate and key", help_text=ENCRYPTED)
    new_certificate_password = NewSecretField(label="Certificate password", help_text=ENCRYPTED)

    class Meta:
        model = AppRegistration
        fields = (
            "name",
            "active",
            "tenant_id",
            "client_id",
            "kind",
            "certificate_path",
            "token_file",
            "secret_expires_on",
            "concurrency",
            "cloud",
            "authority_host",
            "graph_endpoint",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = self._which_are_stored()
        if self.instance.pk is not None:
            for name in ENTERED:
                del self.fields[name]

    def clean_new_secret(self) -> str:
        return value_of(self.cleaned_data["new_secret"])

    def _which_are_stored(self) -> set[str]:
        """Tell which secrets the row has, without reading them."""
        mine = AppRegistration.objects.filter(pk=self.instance.pk)
        if self.instance.pk is None:
            return set()
        return {column for column in SECRETS if mine.exclude(**{column: ""}).exists()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("kind")
        if kind == CredentialKind.SECRET and not cleaned.get("new_secret") and "secret" not in self._stored:
            field = "new_secret" if "new_secret" in self.fields else "kind"
            self.add_error(field, "Enter the value of a client secret: none is stored.")
        if pasted := cleaned.get("new_certificate"):
            self._read_end(pasted, cleaned.get("new_certificate_password") or "")
        has_certificate = "certificate" in self._stored or pasted
        if kind == CredentialKind.CERTIFICATE and not has_certificate:
            self._require_path("certificate_path", "the PEM or PFX file with the key and the certificate")
        if kind == CredentialKind.FEDERATED:
            self._require_path("token_file", "the file with the federated token")
        self._confine(cleaned.get("token_file") or "")
        self._take(cleaned)
        self._refuse_strangers(cleaned)
        return cleaned

    def _take(self, cleaned: dict[str, Any]) -> None:
        """Put into the row what it proves itself with, and the cloud's addresses, as they will be stored."""
        for name, column in ENTERED.items():
            if cleaned.get(name):
                setattr(self.instance, column, cleaned[name])
        preset = ENDPOINTS.get(Cloud(cleaned.get("cloud") or Cloud.CUSTOM))
        if preset is not None:
            cleaned["authority_host"], cleaned["graph_endpoint"] = preset

    def _refuse_strangers(self, cleaned: dict[str, Any]) -> None:
        """Keep secrets and tokens from hosts that are neither Microsoft's nor named outside of the admin.

        Anyone who may edit a row could have it sent to a host of theirs, and read there what nobody is shown.
        """
        for name, variable in PLACES.items():
            known = {getattr(settings, variable), *(getattr(one, name) for one in ENDPOINTS.values())}
            if self.instance.pk is not None:
                known.add(self.initial[name])
            if cleaned.get(name) and cleaned[name] not in known:
                self.add_error(name, ELSEWHERE.format(variable=variable))

    def _confine(self, file: str) -> None:
        """Keep files from being sent as tokens that no platform put where tokens are."""
        if not file or file in (settings.AZURE_FEDERATED_TOKEN_FILE, self.initial.get("token_file")):
            return
        directories = settings.WEB_TOKEN_FILE_DIRECTORIES
        plain = posixpath.normpath(file) == file
        if not plain or not any(file.startswith(f"{one}/") for one in directories):
            named = " or ".join(directories) or "no directory"
            self.add_error("token_file", OUTSIDE.format(directories=named))

    @property
    def brings_proof(self) -> bool:
        """Whether what the row proves itself with was entered here; else it lies with the workers."""
        return bool(self.cleaned_data.get(f"new_{self.instance.kind}"))

    def without_proof(self) -> dict[str, str]:
        """What was entered, for a link that enters it again: without anything secret."""
        entered = {name: text for name, text in self.data.items() if name in self.fields and text}
        return {name: text for name, text in entered.items() if name not in ENTERED}

    def _read_end(self, certificate: str, password: str) -> None:
        try:
            self.instance.certificate_expires_at = end_of(certificate, password)
        except ValidationError as problem:
            self.add_error("new_certificate", problem)

    def _require_path(self, field: str, what: str) -> None:
        if not str(self.cleaned_data.get(field) or "").startswith("/"):
            self.add_error(field, f"Enter the absolute path of {what}, as the workers see it.")
